// Errors as OpenAI's API has them: an HTTP status and {"error": {"message", "type", "param",
// "code"}}.
#ifndef ATTUNE_SERVE_API_ERROR_H_
#define ATTUNE_SERVE_API_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace attune {

// INVALID_ARGUMENT about a field of the request; the error object names it.
absl::Status FieldError(absl::string_view field, absl::string_view message);

// 400 INVALID_ARGUMENT, 401 UNAUTHENTICATED, 404 NOT_FOUND, 405 UNIMPLEMENTED, 413 OUT_OF_RANGE,
// 429 RESOURCE_EXHAUSTED, 503 UNAVAILABLE and CANCELLED, 500 all others.
int HttpStatusOf(const absl::Status& error);

// The error object, JSON on one line.
std::string ErrorBody(const absl::Status& error);

// The body of an answer whose HTTP status is all that is known.
std::string ErrorBody(int http_status);

}  // namespace attune

#endif  // ATTUNE_SERVE_API_ERROR_H_
