#include "model/jinja/token_reader.h"

#include "absl/strings/str_cat.h"

namespace attune::jinja {

bool TokenReader::IsName(absl::string_view name) const {
  return current().kind == Token::Kind::kName && current().text == name;
}

bool TokenReader::IsOperator(absl::string_view text) const {
  return current().kind == Token::Kind::kOperator && current().text == text;
}

bool TokenReader::SkipName(absl::string_view name) {
  if (!IsName(name)) return false;
  Next();
  return true;
}

bool TokenReader::SkipOperator(absl::string_view text) {
  if (!IsOperator(text)) return false;
  Next();
  return true;
}

absl::Status TokenReader::ExpectOperator(absl::string_view text) {
  if (SkipOperator(text)) return absl::OkStatus();
  return Error(absl::StrCat("'", text, "' is expected, not ", Described()));
}

absl::StatusOr<std::string> TokenReader::ExpectName() {
  if (current().kind != Token::Kind::kName) {
    return Error(absl::StrCat("a name is expected, not ", Described()));
  }
  std::string name = current().text;
  Next();
  return name;
}

absl::Status TokenReader::Error(absl::string_view problem) const {
  return ErrorAtLine(current().line, problem);
}

std::string TokenReader::Described() const {
  switch (current().kind) {
    case Token::Kind::kText:
      return "text";
    case Token::Kind::kPrintBegin:
      return "{{";
    case Token::Kind::kPrintEnd:
      return "}}";
    case Token::Kind::kTagBegin:
      return "{%";
    case Token::Kind::kTagEnd:
      return "%}";
    case Token::Kind::kEnd:
      return "the end of the template";
    default:
      return absl::StrCat("'", current().text, "'");
  }
}

}  // namespace attune::jinja
