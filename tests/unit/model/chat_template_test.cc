#include "model/chat_template.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using absl::StatusCode;
using Json = nlohmann::ordered_json;  // templates see the order of keys

// What jinja2 3.1, set up as transformers sets it up, made of templates in the style of each
// family.
Json Golden(const std::string& name) {
  const auto bytes = ReadFile(
      JoinPath(ATTUNE_SOURCE_DIR, absl::StrCat("tests/data/chat_templates/", name, ".json")));
  return Json::parse(bytes.value());
}

class ChatTemplateFamilyTest : public testing::TestWithParam<const char*> {};

TEST_P(ChatTemplateFamilyTest, IsRenderedAsJinja2DoesIt) {
  const Json golden = Golden(GetParam());
  ASSERT_FALSE(golden["cases"].empty());
  for (const Json& one : golden["cases"]) {
    ASSERT_OK_AND_ASSIGN(
        const auto chat_template,
        ChatTemplate::Parse(golden["template"].get<std::string>(), one["variables"].dump()));
    const auto text =
        chat_template->Render(one["messages"].dump(), one["add_generation_prompt"].get<bool>());
    if (one.contains("error")) {
      EXPECT_THAT(text, StatusIs(StatusCode::kInvalidArgument, "line ")) << one["messages"];
    } else {
      ASSERT_OK(text) << one["messages"];
      EXPECT_EQ(*text, one["rendered"].get<std::string>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ChatTemplateFamilyTest,
                         testing::Values("llama3", "chatml", "qwen_think", "mistral", "phi3",
                                         "gemma", "tools"),
                         [](const auto& info) { return std::string(info.param); });

TEST(ChatTemplateTest, ExpressionsAreThoseOfJinja2) {
  const Json golden = Golden("expressions");
  const std::string messages = golden["messages"].dump();
  for (const Json& one : golden["expressions"]) {
    const std::string text = absl::StrCat("{{ ", one[0].get<std::string>(), " }}");
    const auto chat_template = ChatTemplate::Parse(text, "{}");
    const absl::StatusOr<std::string> rendered =
        chat_template.ok() ? (*chat_template)->Render(messages, true) : chat_template.status();
    if (one[1].is_null()) {
      EXPECT_THAT(rendered, StatusIs(StatusCode::kInvalidArgument, "line 1")) << text;
    } else {
      ASSERT_OK(rendered) << text;
      EXPECT_EQ(*rendered, one[1].get<std::string>()) << text;
    }
  }
}

TEST(ChatTemplateTest, WhiteSpaceAndTagsAreThoseOfJinja2) {
  const Json golden = Golden("white_space");
  const std::string messages = golden["messages"].dump();
  for (const Json& one : golden["templates"]) {
    const std::string text = one[0].get<std::string>();
    ASSERT_OK_AND_ASSIGN(const auto chat_template, ChatTemplate::Parse(text, "{}"));
    ASSERT_OK_AND_ASSIGN(const std::string rendered, chat_template->Render(messages, true));
    EXPECT_EQ(rendered, one[1].get<std::string>()) << text;
  }
}

class ChatTemplateLoadTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content) {
    ASSERT_OK(WriteFile(directory_.File(name), content));
  }
  std::string Rendered(const std::string& messages = R"([{"role": "user", "content": "Hi"}])") {
    const auto loaded = ChatTemplate::Load(directory_.path());
    if (!loaded.ok()) return std::string(loaded.status().message());
    return (*loaded)->Render(messages, true).value();
  }

  ScratchDirectory directory_;
};

TEST_F(ChatTemplateLoadTest, TheFileOfItsOwnComesFirst) {
  Write("chat_template.json", R"({"chat_template": "third"})");
  EXPECT_EQ(Rendered(), "third");
  Write("tokenizer_config.json", R"({"chat_template": "second"})");
  EXPECT_EQ(Rendered(), "second");
  Write("chat_template.jinja", "first\n");
  EXPECT_EQ(Rendered(), "first");
}

TEST_F(ChatTemplateLoadTest, OfSeveralTemplatesTheDefaultIsTaken) {
  Write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "a"},
                              {"name": "default", "template": "b"}]})");
  EXPECT_EQ(Rendered(), "b");
  Write("tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "a"}]})");
  EXPECT_THAT(ChatTemplate::Load(directory_.path()),
              StatusIs(StatusCode::kInvalidArgument, "the name \"default\""));
}

TEST_F(ChatTemplateLoadTest, SpecialTokensAreVariables) {
  Write("chat_template.jinja",
        "{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token is defined }}");
  Write("tokenizer_config.json",
        R"({"bos_token": {"content": "<b>", "lstrip": false}, "eos_token": "</b>",
            "unk_token": null})");
  Write("special_tokens_map.json",
        R"({"bos_token": "<other>", "pad_token": {"content": "<pad>"}})");
  EXPECT_EQ(Rendered(), "<b>|</b>|<pad>|False");
}

TEST_F(ChatTemplateLoadTest, ADirectoryWithoutTemplateIsNamedWithWhatToDo) {
  Write("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": null})");
  EXPECT_THAT(ChatTemplate::Load(directory_.path()),
              StatusIs(StatusCode::kNotFound, directory_.path()));
  EXPECT_THAT(ChatTemplate::Load(directory_.path()),
              StatusIs(StatusCode::kNotFound, "add a chat_template.jinja"));
}

TEST_F(ChatTemplateLoadTest, WhatIsWrongIsNamedWithItsFile) {
  Write("tokenizer_config.json", R"({"chat_template": "a\n{% include 'x' %}"})");
  EXPECT_THAT(ChatTemplate::Load(directory_.path()),
              StatusIs(StatusCode::kInvalidArgument, directory_.File("tokenizer_config.json")));
  EXPECT_THAT(ChatTemplate::Load(directory_.path()),
              StatusIs(StatusCode::kInvalidArgument, "line 2: the tag {% include %} is not"));
  Write("tokenizer_config.json", "{");
  EXPECT_THAT(ChatTemplate::Load(directory_.path()),
              StatusIs(StatusCode::kInvalidArgument, "tokenizer_config.json"));
}

TEST_F(ChatTemplateLoadTest, OtherKeysOfMessagesReachTheTemplate) {
  Write("chat_template.jinja", "{{ messages[0].name }} {{ messages[0] | tojson }}");
  EXPECT_EQ(Rendered(R"([{"role": "user", "name": "Ann", "content": "x"}])"),
            R"(Ann {"role": "user", "name": "Ann", "content": "x"})");
}

TEST(ChatTemplateTest, WhatTheTemplateRaisesIsSaidWithItsLine) {
  ASSERT_OK_AND_ASSIGN(const auto chat_template,
                       ChatTemplate::Parse("\n{{ raise_exception('no ' + 'tools') }}", "{}"));
  EXPECT_THAT(chat_template->Render("[]", true),
              StatusIs(StatusCode::kInvalidArgument, "line 2: the template raises: no tools"));
}

TEST(ChatTemplateTest, MessagesMustBeAListOfValidJson) {
  ASSERT_OK_AND_ASSIGN(const auto chat_template, ChatTemplate::Parse("x", "{}"));
  EXPECT_THAT(chat_template->Render("{}", true), StatusIs(StatusCode::kInvalidArgument, "list"));
  EXPECT_THAT(chat_template->Render("[", true), StatusIs(StatusCode::kInvalidArgument, "JSON"));
}

TEST(ChatTemplateTest, TemplatesAreLimitedAndUtf8) {
  EXPECT_OK(ChatTemplate::Parse(std::string(1 << 20, 'x'), "{}"));
  EXPECT_THAT(ChatTemplate::Parse(std::string((1 << 20) + 1, 'x'), "{}"),
              StatusIs(StatusCode::kInvalidArgument, "1048576"));
  EXPECT_THAT(ChatTemplate::Parse("\xff", "{}"), StatusIs(StatusCode::kInvalidArgument, "UTF-8"));
  EXPECT_THAT(ChatTemplate::Parse("x", "[]"), StatusIs(StatusCode::kInvalidArgument, "object"));
}

// Rendering one template in many threads at once is safe, because nothing of it changes.
TEST(ChatTemplateTest, RenderingLeavesNoTrace) {
  ASSERT_OK_AND_ASSIGN(const auto chat_template,
                       ChatTemplate::Parse("{% set bos_token = bos_token ~ 'x' %}{{ bos_token }}"
                                           "{% set n = namespace(a=1) %}{% set n.a = 2 %}",
                                           R"({"bos_token": "<s>"})"));
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK_AND_ASSIGN(const std::string text, chat_template->Render("[]", true));
    EXPECT_EQ(text, "<s>x");
  }
}

}  // namespace
}  // namespace attune
