#include "client/report.h"

#include "gtest/gtest.h"

namespace attune {
namespace {

v1::Job MakeJob() {
  v1::Job job;
  job.set_name("jobs/happy-1a2b");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_initial_evaluation()->set_mean_score(0.5);
  job.mutable_initial_evaluation()->set_mean_length(80);
  job.mutable_initial_evaluation()->set_distinct_2(0.75);
  job.mutable_initial_evaluation()->set_prompts(64);
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
  evaluation.set_prompts(prompts);
  return record;
}

TEST(ReportTest, JsonHasExactlyTheDocumentedFields) {
  EXPECT_EQ(ReportJson(MakeJob(), {MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 64)}, -1),
            R"({"job":"jobs/happy-1a2b","state":"SUCCEEDED","rounds":[{"round":1,)"
            R"("win_rate":0.625,"win_rate_low":0.5,"win_rate_high":0.75,"mean_score":1.25,)"
            R"("kl":0.125,"mean_length":85.5,"distinct_2":0.5,"pairs":1250,"seconds":3.75}],)"
            R"("initial":{"mean_score":0.5,"mean_length":80.0,"distinct_2":0.75},)"
            R"("pairs_digest":"aa","weights_digest":"bb"})");
}

TEST(ReportTest, LeavesOutUnfinishedRoundsAndNullsWhatWasNotMeasured) {
  v1::Job job;
  job.set_name("jobs/x");
  job.set_state(v1::JOB_STATE_FAILED);
  EXPECT_EQ(ReportJson(job,
                       {MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 0),
                        MakeRound(2, v1::ROUND_PHASE_TRAINED, 64)},
                       -1),
            R"({"job":"jobs/x","state":"FAILED","rounds":[{"round":1,"win_rate":null,)"
            R"("win_rate_low":null,"win_rate_high":null,"mean_score":null,"kl":null,)"
            R"("mean_length":null,"distinct_2":null,"pairs":1250,"seconds":3.75}],)"
            R"("initial":{"mean_score":null,"mean_length":null,"distinct_2":null},)"
            R"("pairs_digest":"","weights_digest":""})");
}

TEST(ReportTest, TableBeginsWithTheInitialPolicy) {
  EXPECT_EQ(
      ReportTable(MakeJob(), {MakeRound(1, v1::ROUND_PHASE_PUBLISHED, 64),
                              MakeRound(2, v1::ROUND_PHASE_TRAINED, 64)}),
      "round  win rate  95 % interval  score     kl  length  distinct-2  pairs  seconds\n"
      "    0         -              -    0.5      -    80.0       0.750      -        -\n"
      "    1    62.5 %  50.0 - 75.0 %   1.25  0.125    85.5       0.500  1,250      3.8\n");
}

}  // namespace
}  // namespace attune
