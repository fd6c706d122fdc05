// A model, a dataset and a lexicon on disk, and a specification that refers to them.
#ifndef ATTUNE_TESTS_UNIT_COORDINATOR_JOB_FILES_H_
#define ATTUNE_TESTS_UNIT_COORDINATOR_JOB_FILES_H_

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "attune/v1/job.pb.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "rpc/grpc_status.h"
#include "tests/testing/status_matchers.h"

namespace attune {

class JobFilesFixture : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(root_, MakeTemporaryDirectory("attune-job"));
    ASSERT_OK(CreateDirectories(Path("model")));
    for (const char* file : {"config.json", "model.safetensors", "tokenizer.json"}) {
      ASSERT_OK(WriteFile(Path(absl::StrCat("model/", file)), "{}"));
    }
    ASSERT_OK(WriteFile(Path("lexicon.tsv"), "happy\t2.7\n"));
    WritePrompts(100);
    spec_.mutable_model()->set_path("model");
    spec_.mutable_dataset()->set_path("prompts.jsonl");
    spec_.mutable_oracle()->set_kind(v1::ORACLE_KIND_LEXICON);
    spec_.mutable_oracle()->set_path("lexicon.tsv");
  }
  void TearDown() override { EXPECT_OK(RemoveAll(root_)); }

  std::string Path(const std::string& name) const { return JoinPath(root_, name); }

  void WritePrompts(int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) absl::StrAppend(&lines, "{\"prompt\": \"p", i, "\"}\n");
    ASSERT_OK(WriteFile(Path("prompts.jsonl"), lines));
  }

  std::string root_;
  v1::JobSpec spec_;  // valid, with as little as possible given
};

// "field: description" of each, in order.
inline std::vector<std::string> Lines(const std::vector<FieldViolation>& violations) {
  std::vector<std::string> lines;
  for (const FieldViolation& violation : violations) {
    lines.push_back(absl::StrCat(violation.field, ": ", violation.description));
  }
  return lines;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_COORDINATOR_JOB_FILES_H_
