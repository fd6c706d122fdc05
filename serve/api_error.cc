#include "serve/api_error.h"

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFieldUrl[] = "attune/field";

const char* TypeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 429:
      return "rate_limit_error";
    default:
      return http_status < 500 ? "invalid_request_error" : "server_error";
  }
}

Json CodeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "invalid_api_key";
    case 404:
      return "not_found";
    case 429:
      return "rate_limit_exceeded";
    case 503:
      return "unavailable";
    default:
      return nullptr;
  }
}

std::string Body(int http_status, const std::string& message, const Json& field) {
  const Json body = {{"error",
                      {{"message", message},
                       {"type", TypeOf(http_status)},
                       {"param", field},
                       {"code", CodeOf(http_status)}}}};
  return body.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

absl::Status FieldError(absl::string_view field, absl::string_view message) {
  absl::Status error = absl::InvalidArgumentError(message);
  error.SetPayload(kFieldUrl, absl::Cord(field));
  return error;
}

int HttpStatusOf(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kUnimplemented:
      return 405;
    case absl::StatusCode::kOutOfRange:
      return 413;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
      return 503;
    default:
      return 500;
  }
}

std::string ErrorBody(const absl::Status& error) {
  const absl::optional<absl::Cord> field = error.GetPayload(kFieldUrl);
  return Body(HttpStatusOf(error), std::string(error.message()),
              field.has_value() ? Json(std::string(*field)) : Json(nullptr));
}

std::string ErrorBody(int http_status) {
  return Body(http_status, absl::StrCat("the request cannot be read: HTTP status ", http_status),
              nullptr);
}

}  // namespace attune
