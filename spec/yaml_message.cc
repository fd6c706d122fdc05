#include "spec/yaml_message.h"

#include <cmath>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/check.h"
#include "common/files.h"
#include "common/suggestion.h"
#include "google/protobuf/descriptor.h"
#include "yaml-cpp/yaml.h"

namespace attune {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr uint64_t kFileBytesMax = 1 << 20;

// Fills one message from one map; `path` is the path of the map ("" at the top).
class SpecReader {
 public:
  explicit SpecReader(Violations& violations) : violations_(violations) {}

  void ReadMap(const YAML::Node& map, const std::string& path, Message& message);

 private:
  void ReadField(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                 Message& message);
  void ReadList(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                Message& message);
  void ReadScalar(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                  Message& message);
  void ReadUnsigned(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                    Message& message);
  void ReadDouble(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                  Message& message);
  void ReadBool(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                Message& message);
  void ReadEnum(const YAML::Node& value, const std::string& path, const FieldDescriptor& field,
                Message& message);

  void Refuse(const YAML::Node& node, const std::string& path, absl::string_view problem) {
    violations_.push_back({path, absl::StrCat(problem, " (line ", node.Mark().line + 1, ")")});
  }

  Violations& violations_;
};

// The value as it stands in the file, quoted if it is a string, shortened.
std::string Shown(const YAML::Node& value) {
  if (value.IsMap()) return "a map";
  if (value.IsSequence()) return "a list";
  std::string text = value.Scalar();
  if (text.size() > 60) text = absl::StrCat(text.substr(0, 57), "...");
  return value.Tag() == "!" ? absl::StrCat("\"", text, "\"") : text;
}

// Whether a plain scalar; a quoted one is a string whatever it looks like.
bool IsPlain(const YAML::Node& value) { return value.IsScalar() && value.Tag() != "!"; }

bool IsDigits(absl::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!absl::ascii_isdigit(c)) return false;
  }
  return true;
}

// A decimal number: digits, at most one point, optional exponent.
bool IsNumber(absl::string_view text) {
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
  const size_t exponent = text.find_first_of("eE");
  if (exponent != absl::string_view::npos) {
    absl::string_view power = text.substr(exponent + 1);
    if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.remove_prefix(1);
    if (!IsDigits(power)) return false;
    text = text.substr(0, exponent);
  }
  const size_t point = text.find('.');
  if (point == absl::string_view::npos) return IsDigits(text);
  const absl::string_view whole = text.substr(0, point), part = text.substr(point + 1);
  return (whole.empty() || IsDigits(whole)) && (part.empty() || IsDigits(part)) &&
         !(whole.empty() && part.empty());
}

void SpecReader::ReadMap(const YAML::Node& map, const std::string& path, Message& message) {
  const Descriptor& type = *message.GetDescriptor();
  std::vector<std::string> known;
  for (int i = 0; i < type.field_count(); ++i) known.push_back(type.field(i)->name());
  std::set<std::string> seen;
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) {
      Refuse(entry.first, path.empty() ? "yaml" : path, "a key is not a word");
      continue;
    }
    const std::string key = entry.first.Scalar();
    const std::string key_path = path.empty() ? key : absl::StrCat(path, ".", key);
    const FieldDescriptor* field = type.FindFieldByName(key);
    if (field == nullptr) {
      Refuse(entry.first, key_path, absl::StrCat("unknown key", DidYouMean(key, known)));
    } else if (!seen.insert(key).second) {
      Refuse(entry.first, key_path, "the key is given twice");
    } else if (!entry.second.IsNull()) {
      ReadField(entry.second, key_path, *field, message);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      // A block whose lines are all commented out is a block left out; a lone key is a slip.
      Refuse(entry.first, key_path, "has no value; write one or remove the key");
    }
  }
}

void SpecReader::ReadField(const YAML::Node& value, const std::string& path,
                           const FieldDescriptor& field, Message& message) {
  if (field.is_repeated()) return ReadList(value, path, field, message);
  const bool is_block = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (is_block && value.IsMap()) {
    ReadMap(value, path, *message.GetReflection()->MutableMessage(&message, &field));
  } else if (is_block) {
    Refuse(value, path, absl::StrCat("must be a map of keys, is ", Shown(value)));
  } else {
    ReadScalar(value, path, field, message);
  }
}

// A list, or its only item alone.
void SpecReader::ReadList(const YAML::Node& value, const std::string& path,
                          const FieldDescriptor& field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  const bool is_block = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  for (size_t i = 0; i < (value.IsSequence() ? value.size() : 1); ++i) {
    const YAML::Node item = value.IsSequence() ? value[i] : value;
    const std::string item_path = absl::StrCat(path, "[", i, "]");
    if (is_block && item.IsMap()) {
      ReadMap(item, item_path, *reflection.AddMessage(&message, &field));
    } else if (is_block) {
      Refuse(item, item_path, absl::StrCat("must be a map of keys, is ", Shown(item)));
    } else {
      ReadScalar(item, value.IsSequence() ? item_path : path, field, message);
    }
  }
}

void SetString(const std::string& text, const FieldDescriptor& field, Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (field.is_repeated()) return reflection.AddString(&message, &field, text);
  reflection.SetString(&message, &field, text);
}

void SpecReader::ReadScalar(const YAML::Node& value, const std::string& path,
                            const FieldDescriptor& field, Message& message) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      if (value.IsScalar()) {
        SetString(value.Scalar(), field, message);
      } else {
        Refuse(value, path, absl::StrCat("must be a string, is ", Shown(value)));
      }
      return;
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return ReadUnsigned(value, path, field, message);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ReadDouble(value, path, field, message);
    case FieldDescriptor::CPPTYPE_BOOL:
      return ReadBool(value, path, field, message);
    case FieldDescriptor::CPPTYPE_ENUM:
      return ReadEnum(value, path, field, message);
    default:
      ATTUNE_CHECK(false && "a message has a field of a type that files cannot hold");
  }
}

void SpecReader::ReadUnsigned(const YAML::Node& value, const std::string& path,
                              const FieldDescriptor& field, Message& message) {
  const bool is_wide = field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64;
  const uint64_t limit = is_wide ? UINT64_MAX : UINT32_MAX;
  if (!IsPlain(value) || !IsNumber(value.Scalar())) {
    return Refuse(value, path, absl::StrCat("must be a whole number, is ", Shown(value)));
  }
  absl::string_view text = value.Scalar();
  if (text[0] == '+') text.remove_prefix(1);
  if (text[0] == '-' && IsDigits(text.substr(1))) {
    return Refuse(value, path, absl::StrCat("must not be negative, is ", text));
  }
  if (!IsDigits(text)) {
    return Refuse(value, path, absl::StrCat("must be a whole number, is ", text));
  }
  uint64_t number = 0;
  if (!absl::SimpleAtoi(text, &number) || number > limit) {
    return Refuse(value, path, absl::StrCat("must be at most ", limit, ", is ", Shown(value)));
  }
  const Reflection& reflection = *message.GetReflection();
  ATTUNE_CHECK(!field.is_repeated());
  if (is_wide) {
    reflection.SetUInt64(&message, &field, number);
  } else {
    reflection.SetUInt32(&message, &field, static_cast<uint32_t>(number));
  }
}

void SpecReader::ReadDouble(const YAML::Node& value, const std::string& path,
                            const FieldDescriptor& field, Message& message) {
  double number = 0;
  if (!IsPlain(value) || !IsNumber(value.Scalar()) || !absl::SimpleAtod(value.Scalar(), &number) ||
      !std::isfinite(number)) {
    return Refuse(value, path, absl::StrCat("must be a finite number, is ", Shown(value)));
  }
  const Reflection& reflection = *message.GetReflection();
  if (field.is_repeated()) return reflection.AddDouble(&message, &field, number);
  reflection.SetDouble(&message, &field, number);
}

void SpecReader::ReadBool(const YAML::Node& value, const std::string& path,
                          const FieldDescriptor& field, Message& message) {
  bool flag = false;
  if (!IsPlain(value) || !YAML::convert<bool>::decode(value, flag)) {
    return Refuse(value, path, absl::StrCat("must be true or false, is ", Shown(value)));
  }
  ATTUNE_CHECK(!field.is_repeated());
  message.GetReflection()->SetBool(&message, &field, flag);
}

void SpecReader::ReadEnum(const YAML::Node& value, const std::string& path,
                          const FieldDescriptor& field, Message& message) {
  const EnumDescriptor& type = *field.enum_type();
  const std::string& zero = type.value(0)->name();  // PREFIX_UNSPECIFIED
  const size_t prefix_size = zero.size() - absl::string_view("UNSPECIFIED").size();
  std::vector<std::string> choices;
  for (int i = 1; i < type.value_count(); ++i) {
    choices.push_back(absl::AsciiStrToLower(type.value(i)->name().substr(prefix_size)));
    if (value.IsScalar() && value.Scalar() == choices.back()) {
      const Reflection& reflection = *message.GetReflection();
      if (field.is_repeated()) return reflection.AddEnum(&message, &field, type.value(i));
      return reflection.SetEnum(&message, &field, type.value(i));
    }
  }
  const std::string hint = value.IsScalar() ? DidYouMean(value.Scalar(), choices) : "";
  Refuse(
      value, path,
      absl::StrCat("must be one of ", absl::StrJoin(choices, ", "), ", is ", Shown(value), hint));
}

// YAML that cannot be read at all.
absl::Status Unreadable(absl::string_view problem) {
  return BadRequestError({{"yaml", std::string(problem)}});
}

// Whether `path` is `parent`, a field of it or an item of it.
bool IsPartOf(absl::string_view path, absl::string_view parent) {
  return absl::StartsWith(path, parent) &&
         (path.size() == parent.size() || path[parent.size()] == '.' || path[parent.size()] == '[');
}

}  // namespace

absl::Status ParseYamlMessage(absl::string_view yaml, Message* message, Violations* violations) {
  std::vector<YAML::Node> documents;
  try {
    documents = YAML::LoadAll(std::string(yaml));
  } catch (const YAML::Exception& error) {
    return Unreadable(absl::StrCat("line ", error.mark.line + 1, ", column ", error.mark.column + 1,
                                   ": ", error.msg));
  }
  if (documents.empty() || documents[0].IsNull()) return Unreadable("the file is empty");
  if (documents.size() > 1) {
    return Unreadable(absl::StrCat("the file holds ", documents.size(),
                                   " documents (separated by ---), must hold one"));
  }
  if (!documents[0].IsMap()) {
    return Unreadable(absl::StrCat("the file must be a map of keys, is ", Shown(documents[0])));
  }
  SpecReader(*violations).ReadMap(documents[0], "", *message);
  return absl::OkStatus();
}

absl::Status LoadYamlMessage(absl::string_view what, const std::string& path, Message* message,
                             Violations* violations) {
  const absl::StatusOr<uint64_t> size = FileSize(path);
  if (size.ok() && *size > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " ", path, " has ", *size, " bytes, the limit is ", kFileBytesMax));
  }
  const absl::StatusOr<std::string> text = size.ok() ? ReadFile(path) : size.status();
  if (!text.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(what, ": ", text.status().message()));
  }
  return ParseYamlMessage(*text, message, violations);
}

std::string ResolvePath(const std::string& path, const std::string& directory) {
  if (path.empty() || absl::StartsWith(path, "/")) return path;
  for (const std::string& base : {directory, std::string(".")}) {
    const std::string candidate = AbsolutePath(path, base);
    if (FileExists(candidate) || DirectoryExists(candidate)) return candidate;
  }
  return path;
}

Violations MergeViolations(const Violations& file, const Violations& found) {
  Violations merged = file;
  for (const FieldViolation& problem : found) {
    bool follows = false;
    for (const FieldViolation& known : file) {
      // Without an item that was refused, the checks saw another list.
      absl::string_view field = known.field;
      if (absl::EndsWith(field, "]")) field = field.substr(0, field.rfind('['));
      follows |= IsPartOf(problem.field, field);
    }
    if (!follows) merged.push_back(problem);
  }
  return merged;
}

}  // namespace attune
