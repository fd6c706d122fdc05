#include "model/jinja/parser.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::jinja {
namespace {

using absl::StatusCode;

TEST(JinjaParserTest, WhatIsNotSupportedIsRefusedByNameAndLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\n{% include 'a' %}", "line 2: the tag {% include %} is not supported"},
      {"\n\n{{ x|groupby('a') }}", "line 3: the filter |groupby is not supported"},
      {"{{ x is escaped }}", "line 1: the test 'is escaped' is not supported"},
      {"{{ 'a'.format(x) }}", "line 1: the method .format() is not supported"},
      {"{{ joiner() }}", "line 1: the function joiner() is not supported"},
      {"{{ f(*x) }}", "arguments with * are not supported"},
      {"{% for a in b recursive %}{% endfor %}", "recursive"},
      {"{% for a in b %}{% macro c() %}{% endmacro %}{% endfor %}", "{% macro %} inside"},
      {"{% macro c() %}{{ varargs }}{% endmacro %}", "varargs"},
      {"{% set a | trim %}{% endset %}", "with a filter is not supported"},
      {"{% set a = b|safe %}", "the filter |safe is supported only as the last in {{ }}"},
      {"{{ a|e ~ b }}", "the filter |e is supported only as the last in {{ }}"},
      {"{% for (a, (b, c)) in d %}{% endfor %}", "a target in a target"},
  };
  for (const auto& [source, problem] : cases) {
    EXPECT_THAT(Parse(source), StatusIs(StatusCode::kInvalidArgument, problem)) << source;
  }
}

TEST(JinjaParserTest, SyntaxErrorsAreNamed) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{% if a %}", "the tag has no {% endif %}"},
      {"{% endfor %}", "{% endfor %} ends nothing"},
      {"{% for a of b %}{% endfor %}", "'in' is expected, not 'of'"},
      {"{% break %}", "{% break %} outside of a loop"},
      {"{% for a in b %}{% generation %}{% break %}{% endgeneration %}{% endfor %}", "outside"},
      {"{{ }}", "an expression is expected, not }}"},
      {"{{ a b }}", "}} is expected, not 'b'"},
      {"{{ f(a=1, 2) }}", "an argument without a name"},
      {"{{ 9223372036854775808 }}", "does not fit into 64 bits"},
      {"{{ a is b is c }}", "is not supported"},
      {"{{ a is string is none }}", "tests cannot follow each other"},
      {"{% set none = 1 %}", "none cannot be assigned to"},
      {"{% macro f(a=1, b) %}{% endmacro %}", "a parameter without a default"},
  };
  for (const auto& [source, problem] : cases) {
    EXPECT_THAT(Parse(source), StatusIs(StatusCode::kInvalidArgument, problem)) << source;
  }
}

std::string Repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

// Nothing of a template may make the parser, or whoever walks its tree, run out of stack.
TEST(JinjaParserTest, NestingIsLimited) {
  constexpr int kMany = 20000;
  for (const std::string& source :
       {absl::StrCat("{{ ", Repeated("(", kMany), "1", Repeated(")", kMany), " }}"),
        absl::StrCat("{{ ", Repeated("[", kMany), Repeated("]", kMany), " }}"),
        absl::StrCat("{{ ", Repeated("not ", kMany), "1 }}"),
        absl::StrCat("{{ ", Repeated("- ", kMany), "1 }}"),
        absl::StrCat("{{ 1", Repeated(" + 1", kMany), " }}"),
        absl::StrCat("{{ a", Repeated(".b", kMany), " }}"),
        absl::StrCat("{{ a", Repeated("|trim", kMany), " }}"),
        absl::StrCat("{{ 1", Repeated(" if 1 else 2", kMany), " }}"),
        absl::StrCat(Repeated("{% if 1 %}", kMany), Repeated("{% endif %}", kMany))}) {
    EXPECT_FALSE(Parse(source).ok()) << source.substr(0, 30);
  }
  EXPECT_OK(Parse(absl::StrCat("{% if 0 %}", Repeated("{% elif 0 %}", kMany), "{% endif %}")));
  EXPECT_OK(Parse(absl::StrCat("{{ 'a'", Repeated(" ~ 'a'", kMany), " }}")));
}

}  // namespace
}  // namespace attune::jinja
