#include "coordinator/judging.h"

#include <limits>
#include <set>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/coordinator/fake_workers.h"

namespace attune {
namespace {

using absl::StatusCode;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Patience kHasty = {
    .passes = 3,
    .outage_passes = 6,
    .between = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(1)}};

v1::JudgeRequest RequestOf(uint32_t prompts, v1::OracleKind kind = v1::ORACLE_KIND_REMOTE) {
  v1::JudgeRequest request;
  request.mutable_spec()->set_kind(kind);
  if (kind == v1::ORACLE_KIND_REMOTE) request.mutable_spec()->set_endpoint("h:1");
  request.mutable_spec()->set_max_quarantined(0.5);
  for (uint32_t prompt = 0; prompt < prompts; ++prompt) {
    v1::Candidates& item = *request.add_items();
    item.set_prompt_index(prompt);
    for (const char* text : {"one", "two"}) item.add_responses(text);
  }
  return request;
}

const ProgressCall kNoProgress = [](uint64_t, uint64_t) {};

TEST(JudgingTest, FailedItemsAreAskedAgainAndOnlyThey) {
  FakeWorkers workers;
  std::vector<size_t> asked;
  workers.fail_judgment = [&](const v1::Candidates& item) {
    return item.prompt_index() == 1 && workers.calls < 3 ? "away" : "";
  };
  const v1::JudgeRequest request = RequestOf(3);
  ASSERT_OK_AND_ASSIGN(const auto judgments,
                       JudgePatiently(workers, request, kHasty, {}, kNoProgress));
  ASSERT_EQ(judgments.size(), 3u);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(judgments[i].prompt_index(), i);
    EXPECT_EQ(judgments[i].scores_size(), 2);
  }
  EXPECT_THAT(workers.judged_items, ElementsAre(3, 1, 1));
}

TEST(JudgingTest, AFailureThatStaysIsAFailureAndNoScore) {
  FakeWorkers workers;
  workers.fail_judgment = [](const v1::Candidates& item) {
    return item.prompt_index() == 2 ? "for good" : "";
  };
  ASSERT_OK_AND_ASSIGN(const auto judgments,
                       JudgePatiently(workers, RequestOf(3), kHasty, {}, kNoProgress));
  EXPECT_THAT(workers.judged_items, ElementsAre(3, 1, 1));
  EXPECT_EQ(judgments[2].failure(), "for good");
  EXPECT_EQ(judgments[2].scores_size(), 0);
  const auto quarantined = QuarantineOf(judgments);
  ASSERT_EQ(quarantined.size(), 1u);
  EXPECT_EQ(quarantined[0].prompt_index(), 2u);
}

TEST(JudgingTest, AnOutageIsWaitedOutLonger) {
  FakeWorkers workers;
  workers.fail_judgment = [&](const v1::Candidates& item) {
    return item.prompt_index() > 0 && workers.calls < 5 ? "away" : "";
  };
  ASSERT_OK_AND_ASSIGN(const auto judgments,
                       JudgePatiently(workers, RequestOf(3), kHasty, {}, kNoProgress));
  EXPECT_THAT(workers.judged_items, ElementsAre(3, 2, 2, 2, 2));
  EXPECT_THAT(QuarantineOf(judgments), IsEmpty());
}

TEST(JudgingTest, AnOracleThatWouldAnswerTheSameIsAskedOnce) {
  FakeWorkers workers;
  workers.fail_judgment = [](const v1::Candidates&) { return "no answer in the dataset"; };
  ASSERT_OK(JudgePatiently(workers, RequestOf(2, v1::ORACLE_KIND_NUMERIC), kHasty, {}, kNoProgress)
                .status());
  EXPECT_THAT(workers.judged_items, ElementsAre(2));
}

TEST(JudgingTest, WaitingEndsWhenStopped) {
  FakeWorkers workers;
  workers.fail_judgment = [](const v1::Candidates&) { return "away"; };
  std::stop_source stop;
  stop.request_stop();
  const Patience patient = {.passes = 2, .between = {absl::Hours(1), absl::Hours(1)}};
  EXPECT_THAT(JudgePatiently(workers, RequestOf(1), patient, stop.get_token(), kNoProgress),
              StatusIs(StatusCode::kCancelled, "stopped"));
}

v1::Judgment Scored(std::initializer_list<double> scores) {
  v1::Judgment judgment;
  for (double score : scores) judgment.add_scores(score);
  return judgment;
}

TEST(JudgingTest, UnusableAnswersBecomeFailures) {
  v1::JudgeRequest request = RequestOf(4);
  v1::JudgeResponse response;
  for (v1::Judgment judgment : {Scored({1, 2}), Scored({1}), Scored({1, std::nan("")}),
                                Scored({1, std::numeric_limits<double>::infinity()})}) {
    judgment.set_prompt_index(static_cast<uint32_t>(response.judgments_size()));
    *response.add_judgments() = judgment;
  }
  ASSERT_OK(CheckAnswers(request, &response));
  EXPECT_EQ(response.judgments(0).failure(), "");
  EXPECT_THAT(response.judgments(1).failure(), HasSubstr("1 scores for 2 responses"));
  EXPECT_THAT(response.judgments(2).failure(), HasSubstr("not finite"));
  EXPECT_THAT(response.judgments(3).failure(), HasSubstr("not finite"));
  for (int i = 1; i < 4; ++i) EXPECT_EQ(response.judgments(i).scores_size(), 0);
}

TEST(JudgingTest, AnswersToOtherQuestionsAreRefused) {
  v1::JudgeRequest request = RequestOf(2);
  v1::JudgeResponse response;
  *response.add_judgments() = Scored({1, 2});
  EXPECT_THAT(CheckAnswers(request, &response),
              StatusIs(StatusCode::kInternal, "1 judgments for 2 prompts"));
  *response.add_judgments() = Scored({1, 2});
  EXPECT_THAT(CheckAnswers(request, &response),
              StatusIs(StatusCode::kInternal, "prompt 0 where it was asked about 1"));
}

TEST(JudgingTest, AFailedAuxiliaryFailsTheJudgment) {
  std::vector<v1::Judgment> judgments = {Scored({1, 2}), Scored({3, 4})};
  v1::Judgment failed;
  failed.set_failure("away");
  AddAuxiliary({Scored({5, 6}), failed}, &judgments);
  EXPECT_THAT(judgments[0].auxiliary(0).scores(), ElementsAre(5, 6));
  EXPECT_EQ(judgments[1].failure(), "auxiliary oracle: away");
  EXPECT_THAT(judgments[1].scores(), IsEmpty());
}

TEST(JudgingTest, AJobEndsWhenTooManyJudgementsFailed) {
  google::protobuf::RepeatedPtrField<v1::Quarantined> quarantined;
  v1::OracleSpec oracle;
  oracle.set_max_quarantined(0.5);
  EXPECT_OK(CheckQuarantine(oracle, quarantined, 4));
  quarantined.Add()->set_failure("first");
  quarantined.Add()->set_failure("last");
  EXPECT_OK(CheckQuarantine(oracle, quarantined, 4));
  EXPECT_THAT(CheckQuarantine(oracle, quarantined, 3),
              StatusIs(StatusCode::kFailedPrecondition, "2 of 3 prompts could not be judged"));
  oracle.set_max_quarantined(1);
  EXPECT_THAT(CheckQuarantine(oracle, quarantined, 2),
              StatusIs(StatusCode::kFailedPrecondition, "the last failure: last"));
}

TEST(JudgingTest, PromptsLeaveQuarantineWhenTheyAreDrawnAgain) {
  std::vector<v1::RoundRecord> rounds(3);
  const auto quarantine = [](v1::RoundRecord& record, std::initializer_list<uint32_t> prompts) {
    for (uint32_t prompt : prompts) record.add_quarantined()->set_prompt_index(prompt);
  };
  quarantine(rounds[0], {4, 7, 9});
  for (uint32_t prompt : {7u, 9u, 1u}) rounds[1].add_prompt_indices(prompt);
  quarantine(rounds[1], {9});
  EXPECT_THAT(OutstandingQuarantine(rounds), ElementsAre(4, 9));
}

}  // namespace
}  // namespace attune
