// Early return of absl::Status, with context added on the way up.
//
//   ATTUNE_RETURN_IF_ERROR(WriteFile(path, bytes));
//   ATTUNE_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
//   return Annotate(status, "while loading the lexicon");
#ifndef ATTUNE_COMMON_STATUS_MACROS_H_
#define ATTUNE_COMMON_STATUS_MACROS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace attune {

// The same code with "context: " before the message; OK stays OK. Payloads are kept.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

}  // namespace attune

#define ATTUNE_RETURN_IF_ERROR(expr)                             \
  do {                                                           \
    if (absl::Status attune_status = (expr); !attune_status.ok()) \
      return attune_status;                                      \
  } while (false)

#define ATTUNE_ASSIGN_OR_RETURN(lhs, expr) \
  ATTUNE_ASSIGN_OR_RETURN_IMPL_(ATTUNE_CONCAT_(attune_statusor_, __LINE__), lhs, expr)
#define ATTUNE_ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                                  \
  if (!statusor.ok()) return statusor.status();            \
  lhs = std::move(statusor).value()
#define ATTUNE_CONCAT_(a, b) ATTUNE_CONCAT_INNER_(a, b)
#define ATTUNE_CONCAT_INNER_(a, b) a##b

#endif  // ATTUNE_COMMON_STATUS_MACROS_H_
