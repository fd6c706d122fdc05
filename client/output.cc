#include "client/output.h"

#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
      return kExitRefused;
    case absl::StatusCode::kCancelled:
      return kExitStopped;
    default:
      return kExitFailed;
  }
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string json;
  ATTUNE_CHECK(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  return json;
}

void PrintLine(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

int PrintError(const absl::Status& status, bool json) {
  const std::vector<FieldViolation> violations = FieldViolations(status);
  for (const FieldViolation& violation : violations) {
    std::fprintf(stderr, "%s: %s\n", violation.field.c_str(), violation.description.c_str());
  }
  if (violations.empty()) {
    std::fprintf(stderr, "attune: %s\n", std::string(status.message()).c_str());
  }
  if (json) {
    nlohmann::ordered_json error = {{"code", absl::StatusCodeToString(status.code())},
                                    {"message", std::string(status.message())},
                                    {"violations", nlohmann::ordered_json::array()}};
    for (const FieldViolation& violation : violations) {
      error["violations"].push_back(
          {{"field", violation.field}, {"description", violation.description}});
    }
    const nlohmann::ordered_json line = {{"error", error}};
    PrintLine(line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  }
  return ExitCodeOf(status);
}

}  // namespace attune
