#include "model/jinja/json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status_macros.h"
#include "model/tokenizer/utf8.h"
#include "nlohmann/json.hpp"

namespace attune::jinja {
namespace {

using Json = nlohmann::json;

// Builds the value while nlohmann::json parses: without its tree, in the order of the text, and
// with the last of equal keys, as Python has it.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return Take(Value{}); }
  bool boolean(bool value) override { return Take(Value{value}); }
  bool number_integer(int64_t value) override { return Take(Value{value}); }
  bool number_unsigned(uint64_t value) override {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return TooLarge();
    return Take(Value{static_cast<int64_t>(value)});
  }
  bool number_float(double value, const std::string& text) override {
    // nlohmann::json makes a float of an integer that is too large.
    if (text.find_first_of(".eE") == text.npos) return TooLarge();
    return Take(Value{value});
  }
  bool string(std::string& value) override { return Take(TextValue(std::move(value))); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return Open(false); }
  bool start_array(size_t) override { return Open(true); }
  bool key(std::string& value) override {
    open_.back().key = TextValue(std::move(value));
    return true;
  }
  bool end_object() override { return Close(DictValue(std::move(open_.back().dict))); }
  bool end_array() override {
    return Close(ListValue(List::Kind::kList, std::move(open_.back().items)));
  }
  bool parse_error(size_t position, const std::string&, const Json::exception&) override {
    return Fail(absl::StrCat("it is not valid JSON at byte ", position));
  }

  absl::StatusOr<Value> Finish() && {
    if (!status_.ok()) return status_;
    return std::move(result_);
  }

 private:
  struct Container {
    bool is_list;
    std::vector<Value> items;
    Dict dict;
    Value key;
  };

  bool Fail(absl::string_view problem) {
    if (status_.ok()) status_ = absl::InvalidArgumentError(problem);
    return false;
  }
  bool TooLarge() { return Fail("an integer of the JSON has more than 64 bits"); }

  bool Open(bool is_list) {
    if (open_.size() == kValueDepthMax) {
      return Fail(absl::StrCat("the JSON is nested more than ", kValueDepthMax, " deep"));
    }
    open_.push_back({.is_list = is_list});
    return true;
  }

  bool Close(absl::StatusOr<Value> value) {
    open_.pop_back();
    return value.ok() ? Take(*std::move(value)) : Fail(value.status().message());
  }

  bool Take(Value value) {
    if (open_.empty()) {
      result_ = std::move(value);
    } else if (open_.back().is_list) {
      open_.back().items.push_back(std::move(value));
    } else {
      open_.back().dict.Set(std::move(open_.back().key), std::move(value));
    }
    return true;
  }

  std::vector<Container> open_;
  Value result_;
  absl::Status status_;
};

class Writer {
 public:
  Writer(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  absl::Status Write(const Value& value) {
    ATTUNE_RETURN_IF_ERROR(budget_.Take(1));
    ATTUNE_RETURN_IF_ERROR(CheckTextSize(out_.size()));
    const List* list = value.list();
    if (value.is_none()) {
      out_ += "null";
    } else if (value.is_bool()) {
      out_ += Truth(value) ? "true" : "false";
    } else if (value.integer().has_value()) {
      absl::StrAppend(&out_, *value.integer());
    } else if (value.is_float()) {
      const double number = *value.number();
      out_ += std::isnan(number)   ? "NaN"
              : std::isinf(number) ? (number > 0 ? "Infinity" : "-Infinity")
                                   : FloatText(number);
    } else if (const std::string* text = value.text()) {
      return Text(*text);
    } else if (list != nullptr &&
               (list->kind == List::Kind::kList || list->kind == List::Kind::kTuple)) {
      return Items(*list);
    } else if (const Dict* dict = value.dict()) {
      return Members(*dict);
    } else {
      ATTUNE_RETURN_IF_ERROR(CheckDefined(value));
      return absl::InvalidArgumentError(
          absl::StrCat("'", TypeName(value), "' cannot be written as JSON"));
    }
    return absl::OkStatus();
  }

  std::string Take() && { return std::move(out_); }

 private:
  absl::Status Text(absl::string_view text) {
    ATTUNE_RETURN_IF_ERROR(budget_.TakeText(text.size()));
    out_.push_back('"');
    for (size_t offset = 0; offset < text.size();) {
      const size_t begin = offset;
      const char32_t c = NextCodePoint(text, &offset);
      switch (c) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        case '\f':
          out_ += "\\f";
          break;
        case '\b':
          out_ += "\\b";
          break;
        default:
          if (c < 0x20 || (style_.ensure_ascii && c > 0x7e)) {
            Escape(c);
          } else {
            out_.append(text.data() + begin, offset - begin);
          }
      }
    }
    out_.push_back('"');
    return absl::OkStatus();
  }

  void Escape(uint32_t c) {
    if (c < 0x10000) {
      absl::StrAppendFormat(&out_, "\\u%04x", c);
    } else {  // two surrogates
      absl::StrAppendFormat(&out_, "\\u%04x\\u%04x", 0xD800 + ((c - 0x10000) >> 10),
                            0xDC00 + (c & 0x3FF));
    }
  }

  absl::Status NewLine() {
    if (!style_.indent.has_value()) return absl::OkStatus();
    ATTUNE_RETURN_IF_ERROR(budget_.TakeText(style_.indent->size() * depth_));
    out_.push_back('\n');
    for (int i = 0; i < depth_; ++i) out_ += *style_.indent;
    return CheckTextSize(out_.size());
  }

  // Before item `index`, or at the end of `count` of them.
  absl::Status Separate(size_t index, size_t count) {
    if (index == 0) ++depth_;
    if (index == count) --depth_;
    if (index > 0 && index < count) {
      ATTUNE_RETURN_IF_ERROR(budget_.TakeText(style_.item_separator.size()));
      out_ += style_.item_separator;
    }
    return NewLine();
  }

  absl::Status Items(const List& list) {
    const size_t count = list.items.size();
    out_.push_back('[');
    for (size_t i = 0; i < count; ++i) {
      ATTUNE_RETURN_IF_ERROR(Separate(i, count));
      ATTUNE_RETURN_IF_ERROR(Write(list.items[i]));
    }
    if (count > 0) ATTUNE_RETURN_IF_ERROR(Separate(count, count));
    out_.push_back(']');
    return absl::OkStatus();
  }

  absl::Status Members(const Dict& dict) {
    const size_t count = dict.items.size();
    std::vector<const std::pair<Value, Value>*> members;
    for (const auto& member : dict.items) members.push_back(&member);
    if (style_.sort_keys) {
      std::sort(members.begin(), members.end(),
                [](const auto* a, const auto* b) { return *a->first.text() < *b->first.text(); });
    }
    out_.push_back('{');
    for (size_t i = 0; i < count; ++i) {
      ATTUNE_RETURN_IF_ERROR(Separate(i, count));
      ATTUNE_RETURN_IF_ERROR(Text(*members[i]->first.text()));
      ATTUNE_RETURN_IF_ERROR(budget_.TakeText(style_.key_separator.size()));
      out_ += style_.key_separator;
      ATTUNE_RETURN_IF_ERROR(Write(members[i]->second));
    }
    if (count > 0) ATTUNE_RETURN_IF_ERROR(Separate(count, count));
    out_.push_back('}');
    return absl::OkStatus();
  }

  const JsonStyle& style_;
  Budget& budget_;
  int depth_ = 0;
  std::string out_;
};

}  // namespace

absl::StatusOr<Value> ReadJson(absl::string_view json) {
  Reader reader;
  Json::sax_parse(json.begin(), json.end(), &reader);
  return std::move(reader).Finish();
}

absl::StatusOr<std::string> WriteJson(const Value& value, const JsonStyle& style, Budget& budget) {
  Writer writer(style, budget);
  ATTUNE_RETURN_IF_ERROR(writer.Write(value));
  return std::move(writer).Take();
}

}  // namespace attune::jinja
