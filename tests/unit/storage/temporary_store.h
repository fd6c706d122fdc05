// A directory for a store, removed at the end of the test, and small messages to put into it.
#ifndef ATTUNE_TESTS_UNIT_STORAGE_TEMPORARY_STORE_H_
#define ATTUNE_TESTS_UNIT_STORAGE_TEMPORARY_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "storage/store.h"
#include "tests/testing/status_matchers.h"

namespace attune {

class StoreFixture : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(root_, MakeTemporaryDirectory("attune-store"));
    directory_ = JoinPath(root_, "store");
  }
  void TearDown() override { EXPECT_OK(RemoveAll(root_)); }

  std::unique_ptr<Store> OpenStore() {
    absl::StatusOr<std::unique_ptr<Store>> store = Store::Open(directory_);
    EXPECT_OK(store);
    return store.ok() ? *std::move(store) : nullptr;
  }

  // What a crash at this moment would leave on disk: the files as they are, without closing.
  std::string CopyOfStore(const std::string& name) {
    const std::string copy = JoinPath(root_, name);
    EXPECT_OK(CreateDirectories(copy));
    absl::StatusOr<std::vector<std::string>> files = ListDirectory(directory_);
    EXPECT_OK(files);
    for (const std::string& file : *files) {
      EXPECT_OK(CopyFile(JoinPath(directory_, file), JoinPath(copy, file)));
    }
    return copy;
  }

  std::string root_;
  std::string directory_;
};

// The only file of `directory` whose name ends in `suffix` and that is not empty.
inline std::string OnlyFile(const std::string& directory, const std::string& suffix) {
  std::string found;
  absl::StatusOr<std::vector<std::string>> files = ListDirectory(directory);
  EXPECT_OK(files);
  for (const std::string& file : *files) {
    const std::string path = JoinPath(directory, file);
    if (file.size() < suffix.size() ||
        file.compare(file.size() - suffix.size(), suffix.size(), suffix) != 0 ||
        FileSize(path).value_or(0) == 0) {
      continue;
    }
    EXPECT_EQ(found, "") << "a second file " << file;
    found = path;
  }
  EXPECT_NE(found, "") << "no file " << suffix;
  return found;
}

inline v1::Job MakeJob(const std::string& id) {
  v1::Job job;
  job.set_name(absl::StrCat("jobs/", id));
  job.set_state(v1::JOB_STATE_QUEUED);
  job.mutable_create_time()->set_seconds(1700000000);
  return job;
}

inline v1::RoundRecord MakeRound(uint32_t round) {
  v1::RoundRecord record;
  record.set_round(round);
  return record;
}

inline v1::Response MakeResponse(uint32_t prompt, uint32_t sample) {
  v1::Response response;
  response.set_prompt_index(prompt);
  response.set_sample(sample);
  response.set_text(absl::StrCat("p", prompt, "s", sample));
  return response;
}

inline v1::Judgment MakeJudgment(uint32_t prompt, double score) {
  v1::Judgment judgment;
  judgment.set_prompt_index(prompt);
  judgment.add_scores(score);
  return judgment;
}

inline v1::Pair MakePair(uint32_t round, uint32_t index, const std::string& prompt) {
  v1::Pair pair;
  pair.set_round(round);
  pair.set_index(index);
  pair.set_prompt(prompt);
  return pair;
}

inline v1::JobEvent MakeEvent(uint64_t sequence) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.set_message(absl::StrCat("event ", sequence));
  return event;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_STORAGE_TEMPORARY_STORE_H_
