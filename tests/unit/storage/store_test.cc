#include "storage/store.h"

#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/storage/temporary_store.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

template <typename Messages, typename Field>
std::vector<std::string> Render(const Messages& messages, Field field) {
  std::vector<std::string> out;
  for (const auto& message : messages) out.push_back(absl::StrCat(field(message)));
  return out;
}

class StoreTest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    store_ = OpenStore();
    ASSERT_NE(store_, nullptr);
  }

  uint64_t NewJob(const std::string& id) {
    absl::StatusOr<v1::Job> job = store_->CreateJob(MakeJob(id), "");
    EXPECT_OK(job);
    return job.ok() ? job->ordinal() : 0;
  }

  std::vector<std::string> PairPrompts(uint64_t ordinal, uint32_t round) {
    std::vector<std::string> prompts;
    EXPECT_OK(store_->VisitPairs(ordinal, round, [&](const v1::Pair& pair) {
      prompts.push_back(pair.prompt());
      return true;
    }));
    return prompts;
  }

  std::vector<std::string> JobNames(uint64_t before, uint32_t limit) {
    return Render(*store_->ListJobs(before, limit), [](const v1::Job& job) { return job.name(); });
  }

  std::unique_ptr<Store> store_;
};

TEST_F(StoreTest, CreatedJobHasAnOrdinalAndAFirstEvent) {
  ASSERT_OK_AND_ASSIGN(const v1::Job job, store_->CreateJob(MakeJob("a"), "request-1"));
  EXPECT_EQ(job.ordinal(), 1);
  ASSERT_OK_AND_ASSIGN(const v1::Job stored, store_->GetJob("jobs/a"));
  EXPECT_EQ(stored.SerializeAsString(), job.SerializeAsString());
  ASSERT_OK_AND_ASSIGN(const auto events, store_->ListEvents(1, 0, 10));
  ASSERT_EQ(events.size(), 1);
  EXPECT_EQ(events[0].sequence(), 1);
  EXPECT_EQ(events[0].state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(events[0].time().seconds(), 1700000000);
}

TEST_F(StoreTest, AnUnknownJobIsNotFound) {
  EXPECT_THAT(store_->GetJob("jobs/a"), StatusIs(absl::StatusCode::kNotFound, "jobs/a"));
}

TEST_F(StoreTest, ASecondJobOfTheSameNameIsRefused) {
  NewJob("a");
  EXPECT_THAT(store_->CreateJob(MakeJob("a"), ""),
              StatusIs(absl::StatusCode::kAlreadyExists, "jobs/a"));
  EXPECT_EQ(NewJob("b"), 2);
}

TEST_F(StoreTest, TheSameRequestGivesTheSameJob) {
  ASSERT_OK_AND_ASSIGN(const v1::Job first, store_->CreateJob(MakeJob("a"), "request"));
  ASSERT_OK_AND_ASSIGN(const v1::Job again, store_->CreateJob(MakeJob("b"), "request"));
  EXPECT_EQ(again.name(), "jobs/a");
  EXPECT_EQ(again.ordinal(), first.ordinal());
  store_.reset();
  store_ = OpenStore();
  ASSERT_OK_AND_ASSIGN(const v1::Job later, store_->CreateJob(MakeJob("c"), "request"));
  EXPECT_EQ(later.name(), "jobs/a");
  EXPECT_THAT(JobNames(0, 10), ElementsAre("jobs/a"));
}

TEST_F(StoreTest, TheSameRequestFromManyThreadsGivesOneJob) {
  std::vector<std::string> names(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      absl::StatusOr<v1::Job> job = store_->CreateJob(MakeJob(absl::StrCat("t", i)), "request");
      if (job.ok()) names[i] = job->name();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), 1);
  EXPECT_THAT(JobNames(0, 10), ElementsAre(names[0]));
}

TEST_F(StoreTest, ThreadsThatCreateJobsShareNoOrdinal) {
  std::vector<uint64_t> ordinals(8);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] { ordinals[i] = NewJob(absl::StrCat("t", i)); });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<uint64_t>(ordinals.begin(), ordinals.end()),
            (std::set<uint64_t>{1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_F(StoreTest, JobsAreListedNewestFirstInPages) {
  for (const char* id : {"a", "b", "c", "d"}) NewJob(id);
  EXPECT_THAT(JobNames(0, 3), ElementsAre("jobs/d", "jobs/c", "jobs/b"));
  EXPECT_THAT(JobNames(2, 3), ElementsAre("jobs/a"));
  EXPECT_THAT(JobNames(1, 3), IsEmpty());
  EXPECT_THAT(JobNames(0, 0), IsEmpty());
}

TEST_F(StoreTest, ACommitWritesEveryPart) {
  const uint64_t ordinal = NewJob("a");
  v1::Job job = *store_->GetJob("jobs/a");
  job.set_state(v1::JOB_STATE_RUNNING);
  const v1::RoundRecord round = MakeRound(1);
  Commit commit{.job = &job, .round = &round};
  commit.responses = {MakeResponse(7, 0)};
  commit.judgments = {MakeJudgment(7, 0.5)};
  commit.holdout_judgments = {MakeJudgment(9, 1.5)};
  commit.pairs = {MakePair(1, 0, "x")};
  commit.events = {MakeEvent(2)};
  ASSERT_OK(store_->Write(ordinal, commit));
  store_.reset();
  store_ = OpenStore();
  EXPECT_EQ(store_->GetJob("jobs/a")->state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ((*store_->GetRound(ordinal, 1))->round(), 1);
  EXPECT_EQ((*store_->ListResponses(ordinal, 1)).at(0).text(), "p7s0");
  EXPECT_EQ((*store_->ListJudgments(ordinal, 1)).at(0).scores(0), 0.5);
  EXPECT_EQ((*store_->ListHoldoutJudgments(ordinal, 1)).at(0).scores(0), 1.5);
  EXPECT_THAT(PairPrompts(ordinal, 1), ElementsAre("x"));
  EXPECT_EQ(*store_->LastEventSequence(ordinal), 2);
}

TEST_F(StoreTest, WhatIsNotThereIsEmpty) {
  const uint64_t ordinal = NewJob("a");
  EXPECT_FALSE(store_->GetRound(ordinal, 0)->has_value());
  EXPECT_FALSE(store_->GetPair(ordinal, 1, 0)->has_value());
  EXPECT_THAT(*store_->ListRounds(ordinal), IsEmpty());
  EXPECT_THAT(PairPrompts(ordinal, 1), IsEmpty());
  EXPECT_EQ(*store_->LastEventSequence(99), 0);
}

TEST_F(StoreTest, ResponsesComeByPromptThenSample) {
  const uint64_t ordinal = NewJob("a");
  const v1::RoundRecord round = MakeRound(1);
  Commit commit{.round = &round};
  commit.responses = {MakeResponse(300, 0), MakeResponse(2, 10), MakeResponse(2, 9)};
  ASSERT_OK(store_->Write(ordinal, commit));
  EXPECT_THAT(Render(*store_->ListResponses(ordinal, 1),
                     [](const v1::Response& response) { return response.text(); }),
              ElementsAre("p2s9", "p2s10", "p300s0"));
}

TEST_F(StoreTest, AListHoldsOneJobAndRoundOnly) {
  const uint64_t first = NewJob("a");
  const uint64_t second = NewJob("b");
  for (uint64_t ordinal : {first, second}) {
    for (uint32_t round : {0u, 1u, 2u}) {
      const v1::RoundRecord record = MakeRound(round);
      Commit commit{.round = &record};
      commit.pairs = {MakePair(round, 0, absl::StrCat(ordinal, "/", round))};
      commit.responses = {MakeResponse(round, 0)};
      commit.events = {MakeEvent(10 * ordinal + round)};
      ASSERT_OK(store_->Write(ordinal, commit));
    }
  }
  EXPECT_THAT(PairPrompts(first, 1), ElementsAre("1/1"));
  EXPECT_EQ(store_->ListResponses(first, 2)->size(), 1);
  EXPECT_EQ(store_->ListRounds(first)->size(), 3);
  EXPECT_EQ(*store_->LastEventSequence(first), 12);
  EXPECT_THAT(Render(*store_->ListEvents(first, 1, 100),
                     [](const v1::JobEvent& event) { return event.sequence(); }),
              ElementsAre("10", "11", "12"));
}

TEST_F(StoreTest, EventsGoOnAfterASequenceNumber) {
  const uint64_t ordinal = NewJob("a");
  ASSERT_OK(store_->Write(ordinal, {.events = {MakeEvent(2), MakeEvent(3), MakeEvent(256)}}));
  const auto sequences = [&](uint64_t after, uint32_t limit) {
    return Render(*store_->ListEvents(ordinal, after, limit),
                  [](const v1::JobEvent& event) { return event.sequence(); });
  };
  EXPECT_THAT(sequences(1, 2), ElementsAre("2", "3"));
  EXPECT_THAT(sequences(3, 2), ElementsAre("256"));
  EXPECT_THAT(sequences(256, 2), IsEmpty());
  EXPECT_THAT(sequences(std::numeric_limits<uint64_t>::max(), 2), IsEmpty());
}

TEST_F(StoreTest, DroppedSamplesAreGoneAndTheRestStays) {
  const uint64_t ordinal = NewJob("a");
  for (uint32_t round : {1u, 2u}) {
    const v1::RoundRecord record = MakeRound(round);
    Commit commit{.round = &record};
    commit.responses = {MakeResponse(0, 0), MakeResponse(std::numeric_limits<uint32_t>::max(), 1)};
    commit.judgments = {MakeJudgment(0, 1)};
    commit.holdout_judgments = {MakeJudgment(1, 1)};
    commit.pairs = {MakePair(round, 0, "kept")};
    ASSERT_OK(store_->Write(ordinal, commit));
  }
  const v1::RoundRecord record = MakeRound(1);
  ASSERT_OK(store_->Write(ordinal, {.round = &record, .drop_samples = true}));
  store_.reset();
  store_ = OpenStore();
  EXPECT_THAT(*store_->ListResponses(ordinal, 1), IsEmpty());
  EXPECT_THAT(*store_->ListJudgments(ordinal, 1), IsEmpty());
  EXPECT_EQ(store_->ListHoldoutJudgments(ordinal, 1)->size(), 1);
  EXPECT_THAT(PairPrompts(ordinal, 1), ElementsAre("kept"));
  EXPECT_EQ(store_->ListResponses(ordinal, 2)->size(), 2);
  EXPECT_EQ(store_->ListJudgments(ordinal, 2)->size(), 1);
}

TEST_F(StoreTest, AVisitorMayStop) {
  const uint64_t ordinal = NewJob("a");
  const v1::RoundRecord round = MakeRound(1);
  Commit commit{.round = &round};
  for (uint32_t i = 0; i < 5; ++i) commit.pairs.push_back(MakePair(1, i, absl::StrCat(i)));
  ASSERT_OK(store_->Write(ordinal, commit));
  std::string seen;
  ASSERT_OK(store_->VisitPairs(ordinal, 1, [&](const v1::Pair& pair) {
    seen += pair.prompt();
    return pair.index() < 2;
  }));
  EXPECT_EQ(seen, "012");
  EXPECT_EQ((*store_->GetPair(ordinal, 1, 4))->prompt(), "4");
}

TEST_F(StoreTest, HeldOutResponsesStayUntilTheirRoundIsDropped) {
  const uint64_t ordinal = NewJob("a");
  for (uint32_t round : {0u, 1u, 2u}) {
    const v1::RoundRecord record = MakeRound(round);
    Commit commit{.round = &record, .holdout_responses = {MakeResponse(round, 0)}};
    commit.drop_samples = true;
    if (round == 2) commit.drop_holdout_responses = {1};
    ASSERT_OK(store_->Write(ordinal, commit));
  }
  store_.reset();
  store_ = OpenStore();
  EXPECT_EQ(store_->ListHoldoutResponses(ordinal, 0)->size(), 1);
  EXPECT_THAT(*store_->ListHoldoutResponses(ordinal, 1), IsEmpty());
  EXPECT_EQ(store_->ListHoldoutResponses(ordinal, 2)->at(0).text(), "p2s0");
}

// A visitor sees the pairs as they were when it began: training is not disturbed by writers.
TEST_F(StoreTest, AVisitorSeesOneState) {
  const uint64_t ordinal = NewJob("a");
  const v1::RoundRecord round = MakeRound(1);
  Commit commit{.round = &round, .pairs = {MakePair(1, 0, "old"), MakePair(1, 1, "old")}};
  ASSERT_OK(store_->Write(ordinal, commit));
  std::vector<std::string> seen;
  ASSERT_OK(store_->VisitPairs(ordinal, 1, [&](const v1::Pair& pair) {
    Commit change{.round = &round, .pairs = {MakePair(1, 1, "new"), MakePair(1, 2, "new")}};
    EXPECT_OK(store_->Write(ordinal, change));
    seen.push_back(pair.prompt());
    return true;
  }));
  EXPECT_THAT(seen, ElementsAre("old", "old"));
  EXPECT_THAT(PairPrompts(ordinal, 1), ElementsAre("old", "new", "new"));
}

}  // namespace
}  // namespace attune
