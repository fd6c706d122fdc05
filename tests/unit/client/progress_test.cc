#include "client/progress.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

v1::RoundRecord MakeRecord(uint32_t round, v1::RoundPhase phase) {
  v1::RoundRecord record;
  record.set_round(round);
  record.set_phase(phase);
  record.set_responses(640);
  record.set_response_tokens(51200);
  record.set_mean_score(1.23456);
  record.mutable_pairs()->set_kept(250);
  record.mutable_pairs()->set_tie(4);
  record.mutable_pairs()->set_low_margin(2);
  for (int done = 1; done <= phase; ++done) {
    v1::PhaseTiming& timing = *record.add_timings();
    timing.set_phase(static_cast<v1::RoundPhase>(done));
    timing.set_seconds(done == v1::ROUND_PHASE_SAMPLED ? 4.1 : 1);
  }
  return record;
}

void Evaluate(v1::RoundRecord& record) {
  v1::Evaluation& evaluation = *record.mutable_evaluation();
  evaluation.set_win_rate(0.672);
  evaluation.set_win_rate_low(0.55);
  evaluation.set_win_rate_high(0.774);
  evaluation.set_mean_score(1.5);
  evaluation.set_kl(0.456);
  evaluation.set_mean_length(85.24);
  evaluation.set_distinct_2(0.8123);
  evaluation.set_prompts(64);
}

TEST(ProgressTest, TellsWhatEachPhaseDid) {
  EXPECT_EQ(FormatPhaseLine(MakeRecord(2, v1::ROUND_PHASE_SAMPLED), 3),
            "round 2/3  sampled   640 responses  51,200 tokens  4.1 s");
  EXPECT_EQ(FormatPhaseLine(MakeRecord(2, v1::ROUND_PHASE_JUDGED), 3),
            "round 2/3  judged    640 responses  mean score 1.235  1.0 s");
  EXPECT_EQ(FormatPhaseLine(MakeRecord(2, v1::ROUND_PHASE_PAIRED), 3),
            "round 2/3  paired    250 pairs, dropped 6 (4 tie, 2 low margin)  1.0 s");
}

TEST(ProgressTest, RoundsStandInOneColumn) {
  EXPECT_EQ(FormatPhaseLine(MakeRecord(2, v1::ROUND_PHASE_SAMPLED), 10),
            "round  2/10  sampled   640 responses  51,200 tokens  4.1 s");
  EXPECT_EQ(FormatPhaseLine(MakeRecord(0, v1::ROUND_PHASE_SAMPLED), 10),
            "initial      sampled   640 responses  51,200 tokens  4.1 s");
}

TEST(ProgressTest, SumsUpARound) {
  v1::RoundRecord record = MakeRecord(2, v1::ROUND_PHASE_PUBLISHED);
  Evaluate(record);
  record.add_steps()->mutable_values()->insert({{"loss", 0.7}});
  record.add_steps()->mutable_values()->insert({{"loss", 0.6123}, {"rewards/margins", 0.2137}});
  EXPECT_EQ(FormatRoundLine(record, 3),
            "round 2/3  done      250 pairs, dropped 6 (4 tie, 2 low margin)  loss 0.6123  "
            "margin 0.2137  win rate 67.2 % [55.0, 77.4]  score 1.5  kl 0.456  length 85.2  9.1 s");
}

TEST(ProgressTest, TheInitialPolicyHasNoWinRate) {
  v1::RoundRecord record = MakeRecord(0, v1::ROUND_PHASE_PUBLISHED);
  Evaluate(record);
  EXPECT_EQ(FormatRoundLine(record, 3),
            "initial    done      score 1.5  length 85.2  distinct-2 0.812  9.1 s");
}

TEST(ProgressTest, NothingIsSaidOfWhatWasNotMeasured) {
  v1::RoundRecord record = MakeRecord(0, v1::ROUND_PHASE_PUBLISHED);
  EXPECT_EQ(FormatRoundLine(record, 3), "initial    done      9.1 s");
}

TEST(ProgressTest, RewardsAreMeasuredByTheirAccuracy) {
  v1::RoundRecord record = MakeRecord(1, v1::ROUND_PHASE_PUBLISHED);
  v1::Evaluation& evaluation = *record.mutable_evaluation();
  evaluation.set_prompts(40);
  evaluation.set_pairs(48);
  evaluation.set_accuracy(0.75);
  evaluation.set_accuracy_low(0.612);
  evaluation.set_accuracy_high(0.851);
  EXPECT_THAT(FormatRoundLine(record, 1),
              testing::HasSubstr("accuracy 75.0 % [61.2, 85.1]  on 48 held-out pairs"));
}

TEST(ProgressTest, ShowsHowFarAPhaseIs) {
  v1::Progress progress;
  progress.set_phase(v1::ROUND_PHASE_SAMPLED);
  progress.set_done(320);
  progress.set_total(1280);
  progress.set_unit("responses");
  progress.set_per_second(52.13);
  EXPECT_EQ(FormatLiveLine(2, progress, 3),
            "round 2/3  sampling  [=====               ]  320/1,280 responses  52.1/s  "
            "18.4 s left");
  progress.set_total(0);
  EXPECT_EQ(FormatLiveLine(2, progress, 3), "round 2/3  sampling  320 responses  52.1/s");
  progress.set_per_second(12345.6);
  progress.set_done(2000);
  progress.set_total(1280);  // more than announced must not break the bar
  EXPECT_EQ(FormatLiveLine(2, progress, 3),
            "round 2/3  sampling  [====================]  2,000/1,280 responses  12,345/s");
  EXPECT_EQ(FormatLiveLine(2, v1::Progress(), 3), "round 2/3  starting  ");
}

TEST(ProgressTest, EstimatesTheRestFromFinishedRounds) {
  EXPECT_EQ(RemainingSeconds({}, 3, 5), std::nullopt);
  EXPECT_EQ(RemainingSeconds({10, 20}, 4, 0), 30);
  EXPECT_EQ(RemainingSeconds({10, 20}, 4, 5), 25);
  EXPECT_EQ(RemainingSeconds({10, 20}, 4, 100), 15);  // a slow round: the others still to come
  EXPECT_EQ(RemainingSeconds({10, 20}, 2, 0), std::nullopt);
}

std::string PrintedBy(const std::function<void(JobProgress&)>& show) {
  std::FILE* file = std::tmpfile();
  {
    Terminal terminal(file);
    JobProgress progress(terminal, 3);
    show(progress);
  }
  std::rewind(file);
  char text[1000];
  const size_t size = std::fread(text, 1, sizeof(text), file);
  std::fclose(file);
  return std::string(text, size);
}

TEST(ProgressTest, ShowsEachAlarmOnce) {
  v1::RoundRecord record = MakeRecord(2, v1::ROUND_PHASE_JUDGED);
  v1::Alarm& alarm = *record.mutable_diagnosis()->add_alarms();
  alarm.set_kind(v1::ALARM_KIND_LENGTH_BIAS);
  alarm.set_message("Scores follow length.");
  EXPECT_EQ(PrintedBy([&](JobProgress& progress) {
              v1::JobEvent event;
              *event.mutable_record() = record;
              progress.Show(event);
              event.mutable_record()->set_phase(v1::ROUND_PHASE_PAIRED);
              progress.Show(event);  // the record still has it
              *event.mutable_record() = MakeRecord(3, v1::ROUND_PHASE_SAMPLED);
              progress.Show(event);
            }),
            "round 2/3  judged    640 responses  mean score 1.235  1.0 s\n"
            "round 2/3  ALARM     length_bias: Scores follow length.\n"
            "round 2/3  paired    250 pairs, dropped 6 (4 tie, 2 low margin)\n"
            "round 3/3  sampled   640 responses  51,200 tokens  4.1 s\n");
}

TEST(ProgressTest, PrintsEventsAsLines) {
  std::FILE* file = std::tmpfile();
  {
    Terminal terminal(file);
    JobProgress progress(terminal, 2);
    v1::JobEvent event;
    event.set_message("started");
    progress.Show(event);
    event.mutable_progress()->set_done(1);
    progress.Show(event);  // not a terminal: nothing
    event.clear_progress();
    *event.mutable_record() = MakeRecord(1, v1::ROUND_PHASE_SAMPLED);
    progress.Show(event);
    progress.ShowRound(MakeRecord(1, v1::ROUND_PHASE_PUBLISHED));
  }
  std::rewind(file);
  char text[1000];
  const size_t size = std::fread(text, 1, sizeof(text), file);
  std::fclose(file);
  EXPECT_EQ(std::string(text, size),
            "started\n"
            "round 1/2  sampled   640 responses  51,200 tokens  4.1 s\n"
            "round 1/2  done      250 pairs, dropped 6 (4 tie, 2 low margin)  9.1 s"
            "  (job: about 9.1 s left)\n");
}

}  // namespace
}  // namespace attune
