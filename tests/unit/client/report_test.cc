#include "client/report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace attune {
namespace {

using testing::HasSubstr;

v1::Job MakeJob() {
  v1::Job job;
  job.set_name("jobs/happy-1a2b");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_initial_evaluation()->set_mean_score(0.5);
  job.mutable_initial_evaluation()->set_mean_length(80);
  job.mutable_initial_evaluation()->set_distinct_2(0.75);
  job.mutable_initial_evaluation()->set_prompts(64);
  job.mutable_initial_evaluation()->set_entropy(1.75);
  job.set_best_round(1);
  job.set_pairs_digest("aa");
  job.set_weights_digest("bb");
  return job;
}

v1::RoundRecord MakeRound(uint32_t round, v1::RoundPhase phase, uint32_t prompts) {
  v1::RoundRecord record;
  record.set_round(round);
  record.set_phase(phase);
  record.mutable_pairs()->set_kept(1250);
  record.add_timings()->set_seconds(3.5);
  record.add_timings()->set_seconds(0.25);
  v1::Evaluation& evaluation = *record.mutable_evaluation();
  evaluation.set_win_rate(0.625);
  evaluation.set_win_rate_low(0.5);
  evaluation.set_win_rate_high(0.75);
  evaluation.set_mean_score(1.25);
  evaluation.set_kl(0.125);
  evaluation.set_mean_length(85.5);
  evaluation.set_distinct_2(0.5);
  evaluation.set_length_controlled_win_rate(0.5625);
  evaluation.set_entropy(1.5);
  evaluation.set_prompts(prompts);
  return record;
}

TEST(ReportTest, JsonHasExactlyTheDocumentedFields) {
  EXPECT_EQ(ReportJson(MakeJob(), {MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 64)}, -1),
            R"({"job":"jobs/happy-1a2b","state":"SUCCEEDED","best_round":1,"rounds":[{"round":1,)"
            R"("win_rate":0.625,"win_rate_low":0.5,"win_rate_high":0.75,"mean_score":1.25,)"
            R"("kl":0.125,"mean_length":85.5,"distinct_2":0.5,"length_controlled_win_rate":0.5625,)"
            R"("entropy":1.5,"pairs":1250,"seconds":3.75,"alarms":[]}],)"
            R"("initial":{"mean_score":0.5,"mean_length":80.0,"distinct_2":0.75,"entropy":1.75},)"
            R"("head_to_head":null,"pairs_digest":"aa","weights_digest":"bb"})");
}

TEST(ReportTest, LeavesOutUnfinishedRoundsAndNullsWhatWasNotMeasured) {
  v1::Job job;
  job.set_name("jobs/x");
  job.set_state(v1::JOB_STATE_FAILED);
  EXPECT_EQ(
      ReportJson(
          job,
          {MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 0), MakeRound(2, v1::ROUND_PHASE_TRAINED, 64)},
          -1),
      R"({"job":"jobs/x","state":"FAILED","best_round":0,"rounds":[{"round":1,"win_rate":null,)"
      R"("win_rate_low":null,"win_rate_high":null,"mean_score":null,"kl":null,)"
      R"("mean_length":null,"distinct_2":null,"length_controlled_win_rate":null,)"
      R"("entropy":null,"pairs":1250,"seconds":3.75,"alarms":[]}],)"
      R"("initial":{"mean_score":null,"mean_length":null,"distinct_2":null,)"
      R"("entropy":null},"head_to_head":null,"pairs_digest":"","weights_digest":""})");
}

TEST(ReportTest, RewardsAreMeasuredByTheirAccuracy) {
  v1::RoundRecord record = MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 40);
  record.mutable_evaluation()->set_accuracy(0.75);
  record.mutable_evaluation()->set_accuracy_low(0.5);
  record.mutable_evaluation()->set_accuracy_high(0.875);
  record.mutable_evaluation()->set_pairs(48);
  const std::string json = ReportJson(MakeJob(), {record}, -1);
  EXPECT_THAT(json, testing::HasSubstr(R"("win_rate":null)"));
  EXPECT_THAT(json, testing::HasSubstr(R"("accuracy":0.75,"accuracy_low":0.5,)"
                                       R"("accuracy_high":0.875,"holdout_pairs":48)"));
  EXPECT_THAT(ReportTable(MakeJob(), {record}),
              testing::HasSubstr("round 1 accuracy 75.0 % (50.0 - 87.5 %) on 48 held-out pairs"));
}

TEST(ReportTest, TableBeginsWithTheInitialPolicy) {
  EXPECT_EQ(ReportTable(MakeJob(), {MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 64),
                                    MakeRound(2, v1::ROUND_PHASE_TRAINED, 64)}),
            "round  win rate  95 % interval  score     kl  length  distinct-2  pairs  seconds\n"
            "    0         -              -    0.5      -    80.0       0.750      -        -\n"
            "    1    62.5 %  50.0 - 75.0 %   1.25  0.125    85.5       0.500  1,250      3.8\n");
}

// Rounds 1 and 2; round 2 also against round 1, and with an alarm.
std::vector<v1::RoundRecord> ComparedRounds() {
  std::vector<v1::RoundRecord> records;
  for (uint32_t round : {1, 2}) {
    v1::RoundRecord& record = records.emplace_back(MakeRound(round, v1::ROUND_PHASE_PUBLISHED, 64));
    for (uint32_t other = 0; other < round; ++other) {
      v1::HeadToHead& result = *record.mutable_evaluation()->add_against();
      result.set_round(other);
      result.set_win_rate(other == 0 ? 0.75 : 0.25);
      result.set_win_rate_low(other == 0 ? 0.5 : 0.125);
      result.set_win_rate_high(other == 0 ? 0.875 : 0.375);
      result.set_length_controlled_win_rate(other == 0 ? 0.625 : 0.25);
    }
  }
  v1::Alarm& alarm = *records[1].mutable_diagnosis()->add_alarms();
  alarm.set_kind(v1::ALARM_KIND_REGRESSION);
  alarm.set_value(0.375);
  alarm.set_limit(0.5);
  alarm.set_message("It lost.");
  return records;
}

TEST(ReportTest, JsonHasTheRoundsAgainstEachOther) {
  const std::string json = ReportJson(MakeJob(), ComparedRounds(), -1);
  EXPECT_THAT(json, HasSubstr(R"("alarms":[{"kind":"regression","value":0.375,"limit":0.5,)"
                              R"("message":"It lost."}])"));
  EXPECT_THAT(json, HasSubstr(R"("head_to_head":{"rounds":[0,1,2],)"
                              R"("win_rate":[[0.5,0.25,0.25],[0.75,0.5,0.75],[0.75,0.25,0.5]],)"
                              R"("win_rate_low":[[0.5,0.125,0.125],[0.5,0.5,0.625],)"
                              R"([0.5,0.125,0.5]],)"));
  EXPECT_THAT(json, HasSubstr(R"("cycle_rate":0.0,)"));
  EXPECT_THAT(json, HasSubstr(R"("newest_exploitability":0.25})"));
}

TEST(ReportTest, TablesShowTheRoundsAgainstEachOther) {
  const std::string text = ReportTable(MakeJob(), ComparedRounds());
  EXPECT_THAT(text, HasSubstr("\n% against     0     1     2\n"
                              "        0     -  25.0  25.0\n"
                              "        1  75.0     -  75.0\n"
                              "        2  75.0  25.0     -\n"
                              "\n"
                              "round 2 against  win rate  95 % interval  at equal lengths\n"
                              "              0    75.0 %  50.0 - 87.5 %            62.5 %\n"
                              "              1    25.0 %  12.5 - 37.5 %            25.0 %\n"
                              "\n"
                              "best round: 1\n"
                              "round 2 ALARM regression: It lost.\n"));
}

}  // namespace
}  // namespace attune
