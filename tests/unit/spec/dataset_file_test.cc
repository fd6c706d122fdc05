#include "spec/dataset_file.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::IsEmpty;
using testing::SizeIs;

class DatasetFileTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("attune-dataset"));
    path_ = JoinPath(directory_, "prompts.jsonl");
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  absl::StatusOr<Dataset> Load(const std::string& content) {
    EXPECT_OK(WriteFile(path_, content));
    return LoadDataset(path_);
  }

  std::string directory_;
  std::string path_;
};

TEST_F(DatasetFileTest, PromptsComeInFileOrderWithTheirFields) {
  const std::string content =
      "{\"prompt\": \"Once\", \"gold\": \"upon\", \"domain\": \"tales\", \"id\": 7}\n"
      "\n \r\n"
      "{\"prompt\": \"h\\u00e9 \xf0\x9f\x98\x80\", \"answer\": \"a\"}\r\n"
      "{\"prompt\": \"last\", \"gold\": null}";
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Load(content));
  ASSERT_THAT(dataset.prompts, SizeIs(3));
  EXPECT_EQ(dataset.prompts[0].text(), "Once");
  EXPECT_EQ(dataset.prompts[0].gold(), "upon");
  EXPECT_EQ(dataset.prompts[0].domain(), "tales");
  EXPECT_EQ(dataset.prompts[1].text(), "h\xc3\xa9 \xf0\x9f\x98\x80");
  EXPECT_EQ(dataset.prompts[1].gold(), "a");
  EXPECT_EQ(dataset.prompts[2].gold(), "");
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(dataset.prompts[i].index(), i);
  EXPECT_EQ(dataset.digest, Sha256Hex(content));
}

TEST_F(DatasetFileTest, TheDomainIsTakenBeforeTheSplit) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       Load("{\"prompt\": \"a\", \"split\": \"test\"}\n"
                            "{\"prompt\": \"b\", \"split\": 3}\n"
                            "{\"prompt\": \"c\", \"domain\": \"d\", \"split\": \"test\"}\n"));
  EXPECT_EQ(dataset.prompts[0].domain(), "test");
  EXPECT_EQ(dataset.prompts[1].domain(), "");
  EXPECT_EQ(dataset.prompts[2].domain(), "d");
}

TEST_F(DatasetFileTest, GoldIsTakenBeforeAnswer) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       Load(R"({"answer": "b", "gold": "a", "prompt": "x"})"));
  EXPECT_EQ(dataset.prompts[0].gold(), "a");
}

TEST_F(DatasetFileTest, BadLinesAreNamedAndCounted) {
  const absl::Status status =
      Load("{\"prompt\": \"a\"}\n\n{\"prompt\": 3}\n{\"prompt\": \"b\"}\nnonsense\n").status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            absl::StrCat(path_,
                         " line 3: \"prompt\" must be text or messages, not number; "
                         "line 5: the line is not valid JSON (2 bad lines of 5)"));
}

TEST_F(DatasetFileTest, OfManyBadLinesTenAreNamed) {
  std::string lines = "{\"prompt\": \"a\"}\n";
  for (int i = 0; i < 12; ++i) lines += "{}\n";
  EXPECT_THAT(Load(lines),
              StatusIs(StatusCode::kInvalidArgument,
                       "line 11: \"prompt\" is missing; and 2 more (12 bad lines of 13)"));
}

TEST_F(DatasetFileTest, AJsonListHasRowsLikeLines) {
  const std::string content =
      "\n[{\"prompt\": \"a ] \\\" , [\", \"gold\": \"g\"},\n"
      " {\n  \"messages\": [{\"role\": \"user\", \"content\": \"b\"}]\n }\n]\n";
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Load(content));
  ASSERT_THAT(dataset.prompts, SizeIs(2));
  EXPECT_EQ(dataset.prompts[0].text(), "a ] \" , [");
  EXPECT_EQ(dataset.prompts[0].gold(), "g");
  EXPECT_EQ(dataset.prompts[1].text(), "b");
  EXPECT_EQ(dataset.prompts[1].index(), 1u);
  EXPECT_EQ(dataset.digest, Sha256Hex(content));
}

TEST_F(DatasetFileTest, WhatIsWrongWithAJsonListIsSaid) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[\"x\"]", "row 1: the row must be {...}, not string (1 bad row of 1)"},
      {"[{\"prompt\": \"a\"}, {\"prompt\": 1}, {}]",
       "row 2: \"prompt\" must be text or messages, not number; row 3: "},
      {"[{\"prompt\": \"a\"},]", "row 2: the row is not valid JSON"},
      {"[{\"prompt\": \"a\"} {\"prompt\": \"b\"}]", "row 1: the row is not valid JSON"},
      {"[{\"prompt\": \"a\"}", "begins a JSON list that has no end"},
      {"[{\"prompt\": \"a\"}]\n[]", "goes on after the end of its JSON list"},
      {"[]", "has no prompts"},
      {"[ ]", "has no prompts"},
  };
  for (const auto& [content, problem] : cases) {
    EXPECT_THAT(Load(content), StatusIs(StatusCode::kInvalidArgument, problem)) << content;
  }
}

// In the middle of a text, of an escape and of a row.
TEST_F(DatasetFileTest, AJsonListIsReadInPieces) {
  std::string content = "[";
  for (int i = 0; i < 9000; ++i) {
    absl::StrAppend(&content, i == 0 ? "" : ",\n", "{\"prompt\": \"", i, std::string(1000, 'x'),
                    R"(\\\"]", "answer": "y"})");
  }
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Load(content + "]"));
  ASSERT_THAT(dataset.prompts, SizeIs(9000));
  for (int i = 0; i < 9000; ++i) {
    ASSERT_EQ(dataset.prompts[i].text(), absl::StrCat(i, std::string(1000, 'x'), "\\\"]"));
  }
}

TEST_F(DatasetFileTest, WhatIsWrongWithALineIsSaid) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{\"prompt\": \"\"}", "\"prompt\" is empty"},
      {"{\"text\": \"x\"}", "\"prompt\" is missing"},
      {"{\"prompt\": null}", "\"prompt\" must be text or messages, not null"},
      {"{\"prompt\": \"x\", \"gold\": [1]}", "\"gold\" must be text, not array"},
      {"{\"prompt\": \"x\", \"answer\": 1}", "\"answer\" must be text, not number"},
      {"{\"prompt\": \"x\", \"corrupted\": true}", "\"corrupted\" must be text, not boolean"},
      {"{\"prompt\": \"x\", \"domain\": {}}", "\"domain\" must be text, not object"},
      {"{\"messages\": []}", "\"messages\" is empty"},
      {"{\"messages\": {}}", "\"messages\" must be a list, not object"},
      {"{\"messages\": [1]}", "\"messages\"[0] must be {...}, not number"},
      {R"({"messages": [{"role": "user"}]})", "\"messages\"[0] has no \"content\""},
      {R"({"messages": [{"content": "x"}]})", "\"messages\"[0] has no \"role\""},
      {R"({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": null}]})",
       "\"content\" of \"messages\"[1] must be text, not null"},
      {R"({"messages": [{"role": "user", "content": ""}]})", "the last of \"messages\" is empty"},
      {R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})",
       "remove it, or give its content as \"gold\" instead"},
      {"3", "the line must be {...}, not number"},
      {"{\"prompt\": \"x\"", "not valid JSON"},
      {"{\"prompt\": \"\\ud800\"}", "not valid JSON"},
      {"{\"prompt\": \"\xff\"}", "not valid UTF-8"},
      {"{\"prompt\": \"\xed\xa0\x80\"}", "not valid UTF-8"},
  };
  for (const auto& [line, problem] : cases) {
    EXPECT_THAT(Load(line), StatusIs(StatusCode::kInvalidArgument, "line 1: ")) << line;
    EXPECT_THAT(Load(line), StatusIs(StatusCode::kInvalidArgument, problem)) << line;
  }
}

// The keys of messages keep their order and whatever else the chat template may look at.
TEST_F(DatasetFileTest, MessagesAreKeptForTheChatTemplate) {
  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       Load(R"({"messages": [{"role": "system", "content": "Be brief."}, )"
                            R"({"name": "Zo\u00eb", "role": "user", )"
                            R"("content": "Hi", "at": [1, 2.5, null]}], )"
                            R"("gold": "Hello"})"));
  ASSERT_THAT(dataset.prompts, SizeIs(1));
  EXPECT_EQ(dataset.prompts[0].text(), "Hi");
  EXPECT_EQ(dataset.prompts[0].gold(), "Hello");
  EXPECT_EQ(dataset.prompts[0].messages(),
            "[{\"role\":\"system\",\"content\":\"Be brief.\"},"
            "{\"name\":\"Zo\xc3\xab\",\"role\":\"user\",\"content\":\"Hi\",\"at\":[1,2.5,null]}]");
}

TEST_F(DatasetFileTest, ACorruptedPromptIsOfTheKindOfThePrompt) {
  ASSERT_OK_AND_ASSIGN(
      const Dataset dataset,
      Load("{\"prompt\": \"a\", \"corrupted\": \"b\"}\n"
           "{\"prompt\": \"a\", \"corrupted\": null}\n"
           R"({"corrupted": "Ho", "messages": [{"role": "system", "content": "Be brief."}, )"
           R"({"role": "user", "content": "Hi", "at": 1}]})"));
  ASSERT_THAT(dataset.prompts, SizeIs(3));
  EXPECT_EQ(dataset.prompts[0].text(), "a");
  EXPECT_EQ(dataset.prompts[0].corrupted(), "b");
  EXPECT_EQ(dataset.prompts[1].corrupted(), "");
  EXPECT_EQ(dataset.prompts[2].messages(),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi","at":1}])");
  EXPECT_EQ(dataset.prompts[2].corrupted(),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Ho","at":1}])");
}

TEST_F(DatasetFileTest, TheJsonOfALineIsLimited) {
  std::string keys;
  for (int i = 0; i < 5000; ++i) absl::StrAppend(&keys, ", \"", i, "\": 0");
  EXPECT_THAT(Load(absl::StrCat(R"({"prompt": "x")", keys, "}")),
              StatusIs(StatusCode::kInvalidArgument, "more than 4096 keys"));
  EXPECT_THAT(Load(absl::StrCat(R"({"messages": )", std::string(100000, '['),
                                std::string(100000, ']'), "}")),
              StatusIs(StatusCode::kInvalidArgument, "nested more than 64 deep"));
}

TEST_F(DatasetFileTest, MessagesBesideAPromptAreIgnored) {
  EXPECT_OK(Load(R"({"messages": [], "prompt": "x"})"));
}

TEST_F(DatasetFileTest, AFileWithoutPromptsIsRefused) {
  EXPECT_THAT(Load(""), StatusIs(StatusCode::kInvalidArgument, "has no prompts"));
  EXPECT_THAT(Load("\n\n"), StatusIs(StatusCode::kInvalidArgument, "has no prompts"));
}

TEST_F(DatasetFileTest, AMissingFileIsNamed) {
  EXPECT_THAT(LoadDataset(path_), StatusIs(StatusCode::kNotFound, path_));
  EXPECT_THAT(LoadDataset(directory_), StatusIs(StatusCode::kNotFound, directory_));
}

std::string LineOf(size_t bytes) {
  const std::string empty = "{\"prompt\": \"\"}";
  return absl::StrCat("{\"prompt\": \"", std::string(bytes - empty.size(), 'x'), "\"}");
}

TEST_F(DatasetFileTest, ALineMayHaveOneMebibyteAndNoMore) {
  const size_t limit = 1 << 20;
  ASSERT_OK_AND_ASSIGN(const Dataset dataset,
                       Load(absl::StrCat(LineOf(limit), "\n", LineOf(limit))));
  EXPECT_THAT(dataset.prompts, SizeIs(2));
  EXPECT_THAT(Load(absl::StrCat("{\"prompt\": \"a\"}\n", LineOf(limit + 1), "\n")),
              StatusIs(StatusCode::kInvalidArgument, "line 2: the line is longer than 1 MiB"));
}

TEST_F(DatasetFileTest, ALineLongerThanAnyBufferIsOneBadLine) {
  EXPECT_THAT(Load(absl::StrCat("{\"prompt\": \"a\"}\n", LineOf(13 << 20), "\nbad\n")),
              StatusIs(StatusCode::kInvalidArgument,
                       "line 2: the line is longer than 1 MiB; line 3: the line is not valid "
                       "JSON (2 bad lines of 3)"));
}

TEST_F(DatasetFileTest, LinesAcrossReadsAreWhole) {
  std::string content;
  for (int i = 0; i < 30000; ++i) {
    absl::StrAppend(&content, "{\"prompt\": \"", i, std::string(i % 500, 'y'), "\"}\n");
  }
  ASSERT_GT(content.size(), 4 << 20);
  ASSERT_OK_AND_ASSIGN(const Dataset dataset, Load(content));
  ASSERT_THAT(dataset.prompts, SizeIs(30000));
  for (int i = 0; i < 30000; ++i) {
    ASSERT_EQ(dataset.prompts[i].text(), absl::StrCat(i, std::string(i % 500, 'y')));
  }
  EXPECT_EQ(dataset.digest, Sha256Hex(content));
}

}  // namespace
}  // namespace attune
