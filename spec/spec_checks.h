// Checks of the fields of a job specification, which collect problems instead of ending at the
// first.
#ifndef ATTUNE_SPEC_SPEC_CHECKS_H_
#define ATTUNE_SPEC_SPEC_CHECKS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/generated_enum_reflection.h"
#include "rpc/grpc_status.h"

namespace attune {

using Violations = std::vector<FieldViolation>;

enum class End { kIncluded, kExcluded };

struct Limits {
  double low;
  double high;
  End low_end = End::kIncluded;
  End high_end = End::kIncluded;
};

// Twelve significant digits at most.
std::string Number(double value);

// "between 0 and 1", "above 0 and at most 1", ...
std::string Describe(const Limits& limits);

// False for NaN.
bool IsWithin(double value, const Limits& limits);

// Collects problems of the fields of one block: "training." and a field's name.
class Block {
 public:
  Block(std::string prefix, Violations* violations)
      : prefix_(std::move(prefix)), violations_(violations) {}

  void Add(absl::string_view field, std::string description) {
    violations_->push_back({absl::StrCat(prefix_, field), std::move(description)});
  }

  void Range(absl::string_view field, double value, const Limits& limits) {
    if (IsWithin(value, limits)) return;
    Add(field, absl::StrCat("is ", Number(value), "; must be ", Describe(limits)));
  }

 private:
  const std::string prefix_;
  Violations* const violations_;
};

// A value of an enum as it is written in job files: LOSS_TYPE_DNO of LossType is "dno".
template <typename Enum>
std::string EnumName(Enum value) {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  const size_t prefix = descriptor->FindValueByNumber(0)->name().size() - sizeof("UNSPECIFIED") + 1;
  return absl::AsciiStrToLower(descriptor->FindValueByNumber(value)->name().substr(prefix));
}

// All of them but "unspecified".
template <typename Enum>
std::vector<std::string> EnumNames() {
  const auto* descriptor = google::protobuf::GetEnumDescriptor<Enum>();
  std::vector<std::string> names;
  for (int i = 1; i < descriptor->value_count(); ++i) {
    names.push_back(EnumName(static_cast<Enum>(descriptor->value(i)->number())));
  }
  return names;
}

// Refuses "unspecified" (left out, and no default) and numbers that the enum does not have.
template <typename Enum>
void CheckEnum(absl::string_view field, Enum value, Block* block) {
  const auto* known = google::protobuf::GetEnumDescriptor<Enum>()->FindValueByNumber(value);
  if (value != 0 && known != nullptr) return;
  block->Add(field, absl::StrCat(value == 0 ? "is required" : absl::StrCat("is ", int{value}),
                                 "; must be one of ", absl::StrJoin(EnumNames<Enum>(), ", ")));
}

}  // namespace attune

#endif  // ATTUNE_SPEC_SPEC_CHECKS_H_
