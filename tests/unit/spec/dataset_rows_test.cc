#include "spec/dataset_rows.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/files.h"
#include "spec/dataset_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string Problem(const std::string& text, v1::Prompt* prompt) {
  return ReadRow(RowJson::parse(text), prompt);
}

v1::Prompt Read(const std::string& text) {
  v1::Prompt prompt;
  EXPECT_EQ(Problem(text, &prompt), "") << text;
  return prompt;
}

// "score text" of each response.
std::vector<std::string> Given(const v1::Prompt& prompt) {
  std::vector<std::string> given;
  for (const v1::GivenResponse& one : prompt.given()) {
    given.push_back(absl::StrCat(one.score(), " ", one.text()));
  }
  return given;
}

std::vector<v1::Prompt> Real(const std::string& file) {
  absl::StatusOr<Dataset> dataset =
      LoadDataset(JoinPath(ATTUNE_SOURCE_DIR, absl::StrCat("tests/data/preferences/", file)));
  EXPECT_OK(dataset);
  return dataset.ok() ? dataset->prompts : std::vector<v1::Prompt>();
}

TEST(DatasetRowsTest, APromptAloneHasNoResponses) {
  EXPECT_THAT(Given(Read(R"({"prompt": "p", "completion": "c", "label_text": "good"})")),
              IsEmpty());
  EXPECT_THAT(Given(Read(R"({"prompt": "p", "label": 3, "chosen": null})")), IsEmpty());
}

TEST(DatasetRowsTest, PairsOfTexts) {
  const v1::Prompt prompt = Read(R"({"prompt": "p", "chosen": "good", "rejected": "bad"})");
  EXPECT_EQ(prompt.text(), "p");
  EXPECT_EQ(prompt.messages(), "");
  EXPECT_THAT(Given(prompt), ElementsAre("1 good", "0 bad"));
}

TEST(DatasetRowsTest, PairsOfMessages) {
  const v1::Prompt prompt = Read(R"({"prompt": [{"role": "user", "content": "p"}],
               "chosen": [{"role": "assistant", "content": "good"}],
               "rejected": {"role": "assistant", "content": [{"type": "text", "text": "bad"}]}})");
  EXPECT_EQ(prompt.text(), "p");
  EXPECT_EQ(prompt.messages(), R"([{"role":"user","content":"p"}])");
  EXPECT_THAT(Given(prompt), ElementsAre("1 good", "0 bad"));
}

TEST(DatasetRowsTest, ScoresOfPairsAreTakenWhereBothAreThere) {
  const std::string pair = R"("prompt": "p", "chosen": "good", "rejected": "bad")";
  const auto given = [&](const std::string& scores) {
    return Given(Read(absl::StrCat("{", pair, ", ", scores, "}")));
  };
  EXPECT_THAT(given(R"("score_chosen": 8.5, "score_rejected": -2)"),
              ElementsAre("8.5 good", "-2 bad"));
  EXPECT_THAT(given(R"("chosen_score": 3, "rejected_score": 3, "margin": 0)"),
              ElementsAre("3 good", "3 bad"));
  EXPECT_THAT(given(R"("score_chosen": 8)"), ElementsAre("1 good", "0 bad"));
}

// As UltraFeedback's binarised form has it: a prompt besides, and "messages" that repeat chosen.
TEST(DatasetRowsTest, ConversationsBeginWithTheirPrompt) {
  const v1::Prompt prompt =
      Read(R"({"prompt": "p", "messages": [{"role": "assistant", "content": "x"}],
               "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}],
               "rejected": [{"role": "user", "content": "p"},
                            {"role": "assistant", "content": "b"}],
               "score_chosen": 4, "score_rejected": 2})");
  EXPECT_EQ(prompt.messages(), R"([{"role":"user","content":"p"}])");
  EXPECT_THAT(Given(prompt), ElementsAre("4 a", "2 b"));

  const std::vector<v1::Prompt> real = Real("torchtune_hh_rlhf_tiny.jsonl");
  ASSERT_THAT(real, SizeIs(1));
  EXPECT_EQ(real[0].text(), "What do I do when I have a hole in my trousers?");
  EXPECT_THAT(Given(real[0]), ElementsAre("1 Fix the hole.", "0 Take them off."));
}

TEST(DatasetRowsTest, TranscriptsBeginWithTheirPrompt) {
  const std::vector<v1::Prompt> real = Real("hh_rlhf_harmless_base.jsonl");
  ASSERT_THAT(real, SizeIs(4));
  EXPECT_EQ(real[2].text(), "\n\nHuman: My wife loves to cook.\n\nAssistant:");
  EXPECT_THAT(Given(real[2]),
              ElementsAre("1  Great, what can I help you with today?",
                          "0  That’s great. I hope she can cook something nice for you."));
  // One response begins with the other: the turn decides, not the longest common beginning.
  const v1::Prompt prompt =
      Read(R"({"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
      "rejected": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d e"})");
  EXPECT_EQ(prompt.text(), "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:");
  EXPECT_THAT(Given(prompt), ElementsAre("1  d", "0  d e"));
}

TEST(DatasetRowsTest, TextsBeginWithWholeWordsOfTheirPrompt) {
  const v1::Prompt prompt =
      Read(R"({"chosen": "The sky is blue.", "rejected": "The sky is black."})");
  EXPECT_EQ(prompt.text(), "The sky is");
  EXPECT_THAT(Given(prompt), ElementsAre("1  blue.", "0  black."));
}

TEST(DatasetRowsTest, LabelledCompletions) {
  EXPECT_THAT(Given(Read(R"({"prompt": "p", "completion": "c", "label": true})")),
              ElementsAre("1 c"));
  EXPECT_THAT(Given(Read(R"({"prompt": [{"role": "user", "content": "p"}], "label": 0,
                             "completion": [{"role": "assistant", "content": "c"}]})")),
              ElementsAre("0 c"));
  EXPECT_THAT(Given(Read(R"({"instruction": "i", "input": "", "output": "o", "kto_tag": false})")),
              ElementsAre("0 o"));
  const v1::Prompt tagged = Read(R"({"conversations": [{"from": "human", "value": "p"},
                                     {"from": "gpt", "value": "c"}], "kto_tag": true})");
  EXPECT_EQ(tagged.messages(), R"([{"role":"user","content":"p"}])");
  EXPECT_THAT(Given(tagged), ElementsAre("1 c"));

  const std::vector<v1::Prompt> real = Real("llamafactory_kto_en_demo.jsonl");
  ASSERT_THAT(real, SizeIs(24));
  double good = 0;
  for (const v1::Prompt& prompt : real) {
    ASSERT_EQ(prompt.given_size(), 1);
    good += prompt.given(0).score();
  }
  EXPECT_EQ(good, 12);
  EXPECT_THAT(Given(real[6]), ElementsAre("1 660 - 549695 = -549035"));
}

TEST(DatasetRowsTest, RankedLists) {
  const v1::Prompt prompt = Read(R"({"context": [{"role": "user", "content": "p"}], "completions": [
               {"rank": 1, "completion": [{"role": "assistant", "content": "second"}]},
               {"rank": 0, "completion": "best"},
               {"rank": 2, "completion": "last"}, {"rank": 2, "completion": "too"}]})");
  EXPECT_EQ(prompt.messages(), R"([{"role":"user","content":"p"}])");
  EXPECT_THAT(Given(prompt), ElementsAre("2 second", "3 best", "1 last", "1 too"));
}

TEST(DatasetRowsTest, OpenAiPairs) {
  const v1::Prompt prompt =
      Read(R"({"input": {"messages": [{"role": "user", "content": "p"}], "tools": [],
                         "parallel_tool_calls": true},
               "preferred_output": [{"role": "assistant", "content": "good"}],
               "non_preferred_output": [{"role": "assistant", "content": "bad"}]})");
  EXPECT_EQ(prompt.messages(), R"([{"role":"user","content":"p"}])");
  EXPECT_THAT(Given(prompt), ElementsAre("1 good", "0 bad"));
}

TEST(DatasetRowsTest, AlpacaPairs) {
  const v1::Prompt prompt = Read(
      R"({"instruction": "Add.", "input": "1 2", "chosen": "3", "rejected": "12", "system": ""})");
  EXPECT_EQ(prompt.text(), "Add.\n1 2");
  EXPECT_THAT(Given(prompt), ElementsAre("1 3", "0 12"));
}

TEST(DatasetRowsTest, ShareGptPairs) {
  const v1::Prompt prompt =
      Read(R"({"conversations": [{"from": "human", "value": "p"}], "system": "Be brief.",
               "chosen": {"from": "gpt", "value": "good"},
               "rejected": {"from": "gpt", "value": "bad"}, "tools": "[]"})");
  EXPECT_EQ(prompt.messages(),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"p"}])");
  EXPECT_THAT(Given(prompt), ElementsAre("1 good", "0 bad"));
}

TEST(DatasetRowsTest, ScoredLists) {
  EXPECT_THAT(Given(Read(R"({"prompt": "p", "all_generated_responses": ["a", "b"],
                             "all_rm_scores": [0.5, -1], "chosen": [1], "rejected": null})")),
              ElementsAre("0.5 a", "-1 b"));
  EXPECT_THAT(Given(Read(R"({"prompt": "p", "responses": ["a", "b", "c"],
                             "rewards": [1, 2, 3]})")),
              ElementsAre("1 a", "2 b", "3 c"));
}

TEST(DatasetRowsTest, PairsUnderTheNamesOfOtherTools) {
  const std::vector<v1::Prompt> exchange = Real("torchtune_stack_exchange_paired_tiny.jsonl");
  ASSERT_THAT(exchange, SizeIs(1));
  EXPECT_THAT(exchange[0].text(), HasSubstr("I am a senior Siebel CRM developer"));
  ASSERT_EQ(exchange[0].given_size(), 2);
  EXPECT_THAT(exchange[0].given(0).text(), HasSubstr("After some research"));
  EXPECT_EQ(exchange[0].given(0).score(), 1);

  const std::vector<v1::Prompt> factory = Real("llamafactory_dpo_en_demo.jsonl");
  ASSERT_THAT(factory, SizeIs(24));
  EXPECT_THAT(Given(factory[4]).front(), HasSubstr("1 7818 x 86175 = 674667340"));

  const std::vector<v1::Prompt> aligner = Real("nemo_aligner_dummy_dpo.jsonl");
  ASSERT_THAT(aligner, SizeIs(2));
  EXPECT_EQ(aligner[0].given(0).text(), "This is the chosen response.\n<extra_id_1>");
}

void ExpectProblems(const std::vector<std::pair<std::string, std::string>>& cases) {
  for (const auto& [row, problem] : cases) {
    v1::Prompt prompt;
    EXPECT_THAT(Problem(row, &prompt), HasSubstr(problem)) << row;
  }
}

TEST(DatasetRowsTest, WhatIsWrongWithAPairOrALabelIsSaid) {
  ExpectProblems({
      {R"({"prompt": "p", "chosen": "a"})", R"(has "chosen" but no "rejected"; must have both)"},
      {R"({"question": "p", "response_k": "a"})", R"(has "response_k" but no "response_j")"},
      {R"({"prompt": "p", "chosen": 1, "rejected": "b"})", R"("chosen" must be text or messages)"},
      {R"({"chosen": "abc", "rejected": "abd"})", "do not begin with the same words"},
      {R"({"chosen": [{"role": "assistant", "content": "a"}],
           "rejected": [{"role": "assistant", "content": "b"}]})",
       "\"prompt\" is missing"},
      {R"({"chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}],
           "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]})",
       "must differ in their last message alone"},
      {R"({"prompt": "q",
           "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "a"}],
           "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "b"}]})",
       R"("prompt" is not what "chosen" and "rejected" begin with)"},
      {R"({"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
           "rejected": "\n\nHuman: a\n\nAssistant: x"})",
       "must differ in the last Assistant turn"},
      {R"({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 1,
           "score_rejected": 2})",
       R"("score_chosen" is 1, below "score_rejected", 2)"},
      {R"({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": "1",
           "score_rejected": 2})",
       R"("score_chosen" must be a number, not string)"},
      {R"({"prompt": "p", "chosen": "a", "rejected": "b", "completions": []})",
       R"(more than one shape: "chosen" and "completions")"},
      {R"({"prompt": "p", "chosen": "a", "rejected": "b", "completion": "c", "label": true})",
       R"("chosen" and "label")"},
      {R"({"prompt": "p", "completion": "c", "label": "good"})",
       R"("label" must be true or false, not "good")"},
      {R"({"prompt": "p", "kto_tag": true})", R"("completion" is missing)"},
      {R"({"messages": [{"role": "user", "content": "p"}], "label": true})",
       R"(the last of "messages" is of the role "user"; must be the response)"},
      {R"({"messages": [{"role": "assistant", "content": "p"}], "label": true})",
       R"("messages" has a response but no prompt before it)"},
  });
}

TEST(DatasetRowsTest, WhatIsWrongWithOtherShapesIsSaid) {
  ExpectProblems({
      {R"({"prompt": "p", "completions": ["a"]})", R"({"rank": number, "completion")"},
      {R"({"prompt": "p", "completions": [{"rank": "0", "completion": "a"}]})",
       R"("rank" must be a number)"},
      {R"({"context": 1, "completions": [{"rank": 0, "completion": "a"}]})",
       R"("context" must be text or messages)"},
      {R"({"prompt": "p", "responses": ["a", "b"], "rewards": [1]})",
       R"("responses" has 2 responses, but "rewards" has 1 scores)"},
      {R"({"prompt": "p", "responses": ["a"]})", R"("rewards" is missing)"},
      {R"({"prompt": "p", "responses": ["a"], "rewards": [null]})",
       R"("rewards"[0] must be a number, not null)"},
      {R"({"input": "p", "preferred_output": [], "non_preferred_output": []})",
       R"("input" must be {"messages": [...]})"},
      {R"({"input": {"messages": [{"role": "user", "content": "p"}], "tools": [{}]},
           "preferred_output": [], "non_preferred_output": []})",
       "\"tools\" is given"},
      {R"({"input": {"messages": [{"role": "user", "content": "p"}]}, "preferred_output": [],
           "non_preferred_output": []})",
       R"("preferred_output" is empty)"},
      {R"({"input": {"messages": [{"role": "user", "content": "p"}]},
           "preferred_output": [{"role": "assistant", "content": null, "tool_calls": [{}]}],
           "non_preferred_output": []})",
       R"("preferred_output"[0] has "tool_calls")"},
      {R"({"instruction": "i", "history": [["a", "b"]], "chosen": "a", "rejected": "b"})",
       R"("history" is given beside "instruction")"},
      {R"({"conversations": [{"from": "observation", "value": "p"}],
           "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}})",
       R"("conversations"[0] is from "observation")"},
      {R"({"prompt": "p", "chosen": {"role": "user", "content": "a"}, "rejected": "b"})",
       R"(the last of "chosen" is of the role "user")"},
      {R"({"prompt": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
           "chosen": "a", "rejected": "b"})",
       R"(has a part of type "image_url")"},
      {R"({"prompt": "p", "images": ["a.png"], "chosen": "a", "rejected": "b"})",
       R"("images" is given, which cannot be trained on)"},
  });
}

TEST(DatasetRowsTest, ResponsesOfARowAreLimited) {
  const std::vector<std::string> texts(65, "\"a\"");
  const std::vector<std::string> scores(65, "1");
  v1::Prompt prompt;
  EXPECT_THAT(Problem(absl::StrCat(R"({"prompt": "p", "responses": [)", absl::StrJoin(texts, ","),
                                   R"(], "rewards": [)", absl::StrJoin(scores, ","), "]}"),
                      &prompt),
              HasSubstr("has 65 responses; at most 64"));
}

}  // namespace
}  // namespace attune
