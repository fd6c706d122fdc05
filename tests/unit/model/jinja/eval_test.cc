#include "model/jinja/eval.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/jinja/parser.h"
#include "tests/testing/status_matchers.h"

namespace attune::jinja {
namespace {

using absl::StatusCode;

absl::StatusOr<std::string> Rendered(const std::string& source) {
  absl::StatusOr<Block> block = Parse(source);
  if (!block.ok()) return block.status();
  return Render(*block, Dict());
}

TEST(JinjaEvalTest, VariablesOfALoopEndWithItsTurn) {
  EXPECT_EQ(Rendered("{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = i + 5 %}{{ a }}"
                     "{% endfor %}{{ a }}{{ i is defined }}")
                .value(),
            "16171False");
  EXPECT_EQ(Rendered("{% if true %}{% set a = 2 %}{% endif %}{{ a }}").value(), "2");
}

TEST(JinjaEvalTest, NamespacesOutliveTheLoop) {
  EXPECT_EQ(Rendered("{% set n = namespace(a=0) %}{% for i in range(4) %}"
                     "{% set n.a = n.a + i %}{% endfor %}{{ n.a }}")
                .value(),
            "6");
}

TEST(JinjaEvalTest, MacrosSeeTheTemplatesVariablesAndNotTheCallers) {
  EXPECT_EQ(
      Rendered("{% macro f(x, y='d') %}[{{ x }}{{ y }}{{ g }}{{ i is defined }}]{% endmacro %}"
               "{% set g = 'g' %}{% for i in [1] %}{{ f(1) }}{{ f(y=2, x=3) }}{{ f() }}"
               "{% endfor %}")
          .value(),
      "[1dgFalse][32gFalse][dgFalse]");
  EXPECT_THAT(Rendered("{% macro f(x) %}{% endmacro %}{{ f(1, 2) }}"),
              StatusIs(StatusCode::kInvalidArgument, "the macro f() takes at most 1"));
}

// jinja2 filters as it goes: the body of a turn decides about the items of later turns.
TEST(JinjaEvalTest, LoopFiltersSeeWhatEarlierTurnsDid) {
  EXPECT_EQ(Rendered("{% set n = namespace(a=9) %}{% for i in range(5) if i < n.a %}"
                     "{{ i }}{% set n.a = 2 %}{% endfor %}")
                .value(),
            "01");
}

TEST(JinjaEvalTest, ErrorsHaveTheLineOfTheExpression) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a\n{{ b.c }}", "line 2: 'b' is undefined"},
      {"{{ 1\n+\n'a' }}", "line 2: '+' is not possible between 'int' and 'str'"},
      {"\n{{ none.a.b }}", "line 2: a 'NoneType' has no 'a'"},
      {"{{ f() }}", "line 1: 'f' is undefined"},
      {"{{ 'a'.nope() }}", "line 1: a 'str' has no 'nope'"},
      {"{{ [].append(1) }}", "the method .append would change a list"},
      {"{% for a, b in [[1]] %}{% endfor %}", "cannot unpack 1 values into 2"},
      {"{% set a.b = 1 %}", "'a' is undefined"},
      {"{% for i in 5 %}{% endfor %}", "'int' is not iterable"},
      {"{{ 'a' % 1 }}", "formatting a text with % is not supported"},
      {"{{ {1: 2} }}", "a key of type 'int' is not supported"},
      {"{% macro f() %}\n\n{{ x.y }}{% endmacro %}\n{{ f() }}", "line 3: 'x' is undefined"},
  };
  for (const auto& [source, problem] : cases) {
    EXPECT_THAT(Rendered(source), StatusIs(StatusCode::kInvalidArgument, problem)) << source;
  }
}

// Whatever a template does, it ends soon and takes little memory.
TEST(JinjaEvalTest, HostileTemplatesMeetALimit) {
  const std::string loop = "{% set n = namespace(a=[1], b='x') %}{% for i in range(100000) %}";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {loop + "{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps"},
      {loop + "{{ 'x' * 10000 }}{% endfor %}", "bytes"},
      {loop + "{% set n.b = n.b + n.b %}{% endfor %}", "bytes"},
      {loop + "{% set n.a = n.a + n.a %}{% endfor %}", "steps"},
      {loop + "{% set n.a = [n.a] %}{% endfor %}", "nested more than 100 deep"},
      {loop + "{% for j in [n.a] %}{% set n.a = loop %}{% endfor %}{% endfor %}", "100 deep"},
      {"{% set n = namespace(a=[1]) %}{% for i in range(90) %}{% set n.a = [n.a, n.a] %}"
       "{% endfor %}{{ n.a == n.a[0] }}{{ n.a }}",
       "bytes"},
      {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "1000 deep"},
      {"{% macro f(x) %}{% if x %}{{ f(x - 1) }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
       "steps"},
      {"{{ 'a' * 9223372036854775807 }}", "bytes"},
      {"{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", "bytes"},
      {"{{ range(100000) | join('x' * 1000000) }}", "bytes"},
      {"{{ ('\n' * 1000000) | indent(1000, blank=true) }}", "bytes"},
      {"{{ range(1000000) }}", "100000"},
      {"{{ ['a'] | map('map', 'map', 'upper') | list }}", "|map('map') is not supported"},
      {"{{ 9223372036854775807 * 2 }}", "64 bits"},
      {"{{ strftime_now('%9999d') }}", "too long"},
  };
  for (const auto& [source, problem] : cases) {
    EXPECT_THAT(Rendered(source), StatusIs(StatusCode::kInvalidArgument, problem)) << source;
  }
}

TEST(JinjaEvalTest, ANamespaceMayHoldItself) {
  EXPECT_EQ(Rendered("{% set n = namespace() %}{% set n.n = [n] %}{{ n.n[0] == n }}").value(),
            "True");
}

// An iterator is empty the second time, as in Python: templates that want more say | list.
TEST(JinjaEvalTest, IteratorsAreGoneThroughOnce) {
  EXPECT_EQ(Rendered("{% set i = [1, 2] | map('string') %}{{ i | join }}{{ i | join }}"
                     "{{ 'true' if i }}")
                .value(),
            "12true");
}

TEST(JinjaEvalTest, TheDateIsFixed) {
  EXPECT_EQ(Rendered("{{ strftime_now('%d %b %Y, %A, day %j') }}").value(),
            "26 Jul 2024, Friday, day 208");
}

}  // namespace
}  // namespace attune::jinja
