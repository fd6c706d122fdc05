// The job loop over a real store and fake workers: its result must not depend on when it was
// interrupted.
#include "coordinator/job_runner.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/files.h"
#include "coordinator/dataset.h"
#include "coordinator/job_spec.h"
#include "coordinator/presets.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spec/dataset_file.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/coordinator/fake_workers.h"

namespace attune {
namespace {

class JobRunnerTest : public testing::Test {
 protected:
  JobRunnerTest() : directory_(MakeTemporaryDirectory("job-runner-test").value()) {
    std::string lines;
    for (int i = 0; i < 30; ++i) absl::StrAppend(&lines, "{\"prompt\": \"story ", i, "\"}\n");
    EXPECT_OK(WriteFile(DatasetPath(), lines));
  }
  ~JobRunnerTest() override { EXPECT_OK(RemoveAll(directory_)); }

  std::string DatasetPath() const { return JoinPath(directory_, "prompts.jsonl"); }
  std::string StorePath(const std::string& run) const { return JoinPath(directory_, run); }

  // A small job; the validator has its own tests.
  v1::Job MakeJob() const {
    v1::Job job;
    job.set_name("jobs/test");
    job.set_state(v1::JOB_STATE_QUEUED);
    job.set_dataset_digest(LoadDataset(DatasetPath())->digest);
    v1::JobSpec& spec = *job.mutable_resolved_spec();
    spec.mutable_dataset()->set_path(DatasetPath());
    spec.mutable_model()->set_path("/models/m");
    spec.set_rounds(2);
    spec.set_prompts_per_round(6);
    spec.set_seed(7);
    spec.mutable_sampling()->set_num_generations(3);
    spec.mutable_pairing()->set_strategy(v1::PAIRING_STRATEGY_BEST_WORST);
    spec.mutable_pairing()->set_min_margin(0);
    spec.mutable_pairing()->set_max_pairs_per_prompt(1);
    spec.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
    spec.mutable_objective()->set_reference(v1::REFERENCE_PREVIOUS_ROUND);
    spec.mutable_evaluation()->set_holdout_prompts(4);
    spec.mutable_checkpoint()->set_save_total_limit(1);
    spec.mutable_oracle()->set_kind(v1::ORACLE_KIND_LEXICON);
    if (customize_) customize_(spec);
    spec = WithPresetAndDefaults(spec);
    return job;
  }

  // One life of a coordinator: until the job is finished, or until `book` is shut down.
  static void Live(Store* store, FakeWorkers* workers, const std::string& checkpoints,
                   const std::function<void(JobBook&)>& with_book) {
    auto metrics = Metrics::Create("", "coordinator").value();
    auto book = JobBook::Open(store, metrics.get()).value();
    JobRunner runner(book.get(), store, workers, metrics.get(), checkpoints);
    std::thread thread([&] { runner.Run(); });
    with_book(*book);
    book->Shutdown();
    thread.join();
  }

  static void WaitUntilFinished(JobBook& book, const v1::Job& job) {
    for (uint64_t after = 0;;) {
      const auto news = book.WaitForNews(job, after, 0, absl::Seconds(5)).value();
      for (const v1::JobEvent& event : news.events) after = event.sequence();
      if (news.ended) return;
    }
  }

  // Runs the job in a fresh store named `run`, crashing each time `crash(call)` says so.
  v1::Job RunJob(const std::string& run, const std::function<bool(int)>& crash) {
    FakeWorkers workers;
    if (score_) workers.score = score_;
    v1::Job job = MakeJob();
    bool created = false;
    for (int life = 0; life < 100; ++life) {
      auto store = Store::Open(StorePath(run)).value();
      Live(store.get(), &workers, JoinPath(directory_, "checkpoints"), [&](JobBook& book) {
        bool crashed = false;
        absl::Mutex mu;
        workers.before_call = [&](int call) -> absl::Status {
          if (!crash(call)) return absl::OkStatus();
          book.Shutdown();  // as a killed process: nothing is written any more
          absl::MutexLock lock(&mu);
          crashed = true;
          return absl::CancelledError("killed");
        };
        if (!created) job = book.Create(MakeJob(), "id").value();
        created = true;
        while (true) {
          const auto news = book.WaitForNews(job, 1'000'000, 0, absl::Milliseconds(20)).value();
          absl::MutexLock lock(&mu);
          if (crashed || news.ended) return;
        }
      });
      job = store->GetJob(job.name()).value();
      if (IsFinished(job.state())) return job;
    }
    ADD_FAILURE() << "the job did not end in 100 lives";
    return job;
  }

  // From round 2 on, whatever comes of it is worse than round 1.
  void PlantARegression(v1::Gate gate) {
    customize_ = [gate](v1::JobSpec& spec) {
      spec.set_rounds(3);
      spec.mutable_evaluation()->set_gate(gate);
    };
    score_ = [](const std::string& text) {
      const double luck = static_cast<double>(Crc32c(text) % 1000) / 1000;
      return luck + (text[6] == '0' ? 10 : text[6] == '1' ? 20 : 0);  // "round 1 words"
    };
  }

  std::vector<v1::RoundRecord> Rounds(const std::string& run, const v1::Job& job) const {
    return Store::Open(StorePath(run)).value()->ListRounds(job.ordinal()).value();
  }

  const std::string directory_;
  std::function<void(v1::JobSpec&)> customize_;
  std::function<double(const std::string&)> score_;
};

TEST_F(JobRunnerTest, RunsAllRoundsToSuccess) {
  const v1::Job job = RunJob("plain", [](int) { return false; });
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.message();
  EXPECT_FALSE(job.pairs_digest().empty());
  auto store = Store::Open(StorePath("plain")).value();
  const auto rounds = store->ListRounds(job.ordinal()).value();
  ASSERT_EQ(rounds.size(), 3u);  // round 0 stands for the initial policy
  EXPECT_EQ(rounds[2].phase(), v1::ROUND_PHASE_PUBLISHED);
  EXPECT_EQ(rounds[2].policy().digest(), rounds[1].trained_policy().digest());
  EXPECT_EQ(job.weights_digest(), rounds[2].trained_policy().digest());
  EXPECT_NEAR(rounds[1].evaluation().kl(), 1.0, 1e-6);  // 4 tokens, a quarter nat each
  EXPECT_EQ(rounds[1].diagnosis().probe().pairs(), rounds[1].pairs().kept());
  EXPECT_EQ(rounds[1].diagnosis().probe().chosen_change(), 0.25);
  EXPECT_TRUE(store->ListResponses(job.ordinal(), 1)->empty()) << "samples go once published";
}

TEST_F(JobRunnerTest, EndsWithTheSamePairsWhereverItIsKilled) {
  const v1::Job plain = RunJob("plain", [](int) { return false; });
  for (int n = 1; n <= 15; ++n) {
    bool killed = false;
    const v1::Job job = RunJob(absl::StrCat("killed-", n), [&](int call) {
      if (call != n) return false;
      killed = true;
      return true;
    });
    EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << "killed at call " << n;
    EXPECT_EQ(job.pairs_digest(), plain.pairs_digest()) << "killed at call " << n;
    EXPECT_EQ(job.weights_digest(), plain.weights_digest()) << "killed at call " << n;
    if (!killed) return;  // fewer than n calls are made: every call has had its turn
  }
}

TEST_F(JobRunnerTest, NoPairComesFromAFailedJudgement) {
  FakeWorkers workers;
  uint32_t bad = 0;
  workers.fail_judgment = [&](const v1::Candidates& item) -> std::string {
    return item.prompt_index() == bad ? "half an answer" : "";
  };
  auto store = Store::Open(StorePath("quarantine")).value();
  v1::Job job = MakeJob();
  bad = RoundPrompts(30, job.resolved_spec().seed(), 4, 1, 6)[2];
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
  });
  job = store->GetJob(job.name()).value();
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.message();
  const auto rounds = store->ListRounds(job.ordinal()).value();
  ASSERT_EQ(rounds[1].quarantined_size(), 1);
  EXPECT_EQ(rounds[1].quarantined(0).prompt_index(), bad);
  EXPECT_EQ(rounds[1].quarantined(0).failure(), "half an answer");
  int pairs = 0;
  ASSERT_OK(store->VisitPairs(job.ordinal(), 1, [&](const v1::Pair& pair) {
    ++pairs;
    EXPECT_NE(pair.prompt_index(), bad);
    return true;
  }));
  EXPECT_EQ(pairs, 5);
}

TEST_F(JobRunnerTest, AJobWhoseOracleFailedGoesOnWhenRetried) {
  FakeWorkers workers;
  std::atomic<bool> away = true;
  workers.fail_judgment = [&](const v1::Candidates&) -> std::string { return away ? "away" : ""; };
  auto store = Store::Open(StorePath("retried")).value();
  v1::Job job = MakeJob();
  job.mutable_resolved_spec()->mutable_evaluation()->set_holdout_prompts(0);
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
    const v1::Job failed = store->GetJob(job.name()).value();
    EXPECT_EQ(failed.state(), v1::JOB_STATE_FAILED);
    EXPECT_EQ(failed.failure_reason(), v1::FAILURE_REASON_ORACLE_FAILED);
    EXPECT_NE(failed.message().find("attune retry"), std::string::npos) << failed.message();
    away = false;
    const int samples = workers.calls;
    ASSERT_OK(book.RetryQuarantined(job.name()).status());
    WaitUntilFinished(book, job);
    EXPECT_GT(workers.calls, samples);
    EXPECT_THAT(book.RetryQuarantined(job.name()),
                StatusIs(absl::StatusCode::kFailedPrecondition, "is succeeded"));
  });
  EXPECT_EQ(store->GetJob(job.name())->state(), v1::JOB_STATE_SUCCEEDED);
}

TEST_F(JobRunnerTest, QuarantinedPromptsAreDrawnAgainWhenAsked) {
  FakeWorkers workers;
  v1::Job job = MakeJob();
  const uint32_t bad = RoundPrompts(30, job.resolved_spec().seed(), 4, 1, 6)[0];
  auto store = Store::Open(StorePath("again")).value();
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    bool asked = false;
    workers.fail_judgment = [&](const v1::Candidates& item) -> std::string {
      return item.prompt_index() == bad && !asked ? "away" : "";
    };
    workers.before_train = [&] {
      if (asked) return;
      asked = true;
      EXPECT_OK(book.RetryQuarantined("jobs/test").status());
    };
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
  });
  job = store->GetJob(job.name()).value();
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.message();
  EXPECT_EQ(job.retry_prompts_size(), 0);
  const auto rounds = store->ListRounds(job.ordinal()).value();
  ASSERT_EQ(rounds[2].prompt_indices_size(), 7);
  EXPECT_EQ(rounds[2].prompt_indices(6), bad);
  EXPECT_EQ(rounds[2].quarantined_size(), 0);
}

TEST_F(JobRunnerTest, EveryRoundIsComparedWithAllBeforeIt) {
  customize_ = [](v1::JobSpec& spec) { spec.set_rounds(3); };
  const v1::Job job = RunJob("compared", [](int) { return false; });
  const std::vector<v1::RoundRecord> rounds = Rounds("compared", job);
  ASSERT_EQ(rounds.size(), 4u);
  for (const v1::RoundRecord& record : rounds) {
    const v1::Evaluation& evaluation = record.evaluation();
    ASSERT_EQ(evaluation.against_size(), static_cast<int>(record.round()));
    for (uint32_t other = 0; other < record.round(); ++other) {
      EXPECT_EQ(evaluation.against(static_cast<int>(other)).round(), other);
    }
    if (record.round() > 0) {
      EXPECT_DOUBLE_EQ(evaluation.win_rate(), evaluation.against(0).win_rate());
    }
  }
  auto store = Store::Open(StorePath("compared")).value();
  for (uint32_t round : {0, 1, 2, 3}) {
    const auto kept = store->ListHoldoutResponses(job.ordinal(), round).value();
    ASSERT_EQ(kept.size(), 4u);
    EXPECT_EQ(kept[0].token_ids_size(), 4);
    EXPECT_EQ(kept[0].logps_size(), 0) << "what no oracle is shown is not kept";
  }
}

TEST_F(JobRunnerTest, EveryPhaseIsDiagnosed) {
  const v1::Job job = RunJob("plain", [](int) { return false; });
  const v1::Diagnosis diagnosis = Rounds("plain", job)[1].diagnosis();
  EXPECT_DOUBLE_EQ(diagnosis.entropy(), 0.5);
  EXPECT_DOUBLE_EQ(diagnosis.mean_length(), 4);
  EXPECT_DOUBLE_EQ(diagnosis.chosen_length(), 4);
  EXPECT_GT(diagnosis.mean_margin(), 0);
  EXPECT_EQ(diagnosis.tie_rate(), 0);
  EXPECT_EQ(diagnosis.kl(), 1) << "of the initial policy's held-out responses";
}

// The first rows change their answers before round 2 is published; the round's own samples do not.
TEST_F(JobRunnerTest, AnOracleWhoseAnswersChangeRaisesItsAlarm) {
  const std::string path = JoinPath(directory_, "labelled.jsonl");
  std::string lines;
  for (int i = 0; i < 20; ++i) {
    absl::StrAppend(&lines, "{\"prompt\": \"question ", i, "\", \"chosen\": \"good ", i,
                    "\", \"rejected\": \"bad ", i, "\"}\n");
  }
  ASSERT_OK(WriteFile(path, lines));
  customize_ = [&](v1::JobSpec& spec) { spec.mutable_oracle()->set_calibration(path); };
  FakeWorkers workers;
  std::atomic<int> trained = 0;
  workers.before_train = [&] { ++trained; };
  workers.score = [&](const std::string& text) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    if (words[0] == "round") return static_cast<double>(Crc32c(text) % 1000);
    const bool changed = trained == 2 && std::stoi(words[1]) < 8;
    return (words[0] == "good") != changed ? 1.0 : 0.0;
  };
  v1::Job job = MakeJob();
  auto store = Store::Open(StorePath("drifting")).value();
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
  });
  const std::vector<v1::RoundRecord> rounds = store->ListRounds(job.ordinal()).value();
  ASSERT_EQ(rounds.size(), 3u);
  for (const v1::RoundRecord& record : rounds) {
    const v1::Calibration& calibration = record.diagnosis().calibration();
    const double right = record.round() == 2 ? 0.6 : 1;
    EXPECT_EQ(calibration.pairs(), 20u) << record.round();
    EXPECT_EQ(calibration.accuracy(), right) << record.round();
    EXPECT_EQ(calibration.agreement(), right) << record.round();
    int alarms = 0;
    for (const v1::Alarm& alarm : record.diagnosis().alarms()) {
      if (alarm.kind() != v1::ALARM_KIND_ORACLE_DRIFT) continue;
      ++alarms;
      EXPECT_EQ(alarm.value(), 0.6);
      EXPECT_EQ(alarm.limit(), 0.9);
    }
    EXPECT_EQ(alarms, record.round() == 2 ? 1 : 0) << record.round();
  }
}

TEST_F(JobRunnerTest, AGateThatStopsEndsTheJobWithItsBestRound) {
  PlantARegression(v1::GATE_STOP);
  const v1::Job job = RunJob("stopped", [](int) { return false; });
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.best_round(), 1u);
  EXPECT_NE(job.message().find("the gate stopped the job after round 2"), std::string::npos);
  const std::vector<v1::RoundRecord> rounds = Rounds("stopped", job);
  ASSERT_EQ(rounds.size(), 3u);
  EXPECT_EQ(job.weights_digest(), rounds[1].trained_policy().digest());
  ASSERT_EQ(rounds[2].diagnosis().alarms_size(), 1);
  EXPECT_EQ(rounds[2].diagnosis().alarms(0).kind(), v1::ALARM_KIND_REGRESSION);
}

TEST_F(JobRunnerTest, AGateThatOnlyTellsGoesOn) {
  PlantARegression(v1::GATE_CONTINUE);
  const v1::Job job = RunJob("told", [](int) { return false; });
  EXPECT_EQ(job.best_round(), 1u);
  const std::vector<v1::RoundRecord> rounds = Rounds("told", job);
  ASSERT_EQ(rounds.size(), 4u);
  EXPECT_EQ(rounds[2].diagnosis().alarms(0).kind(), v1::ALARM_KIND_REGRESSION);
  EXPECT_EQ(rounds[3].policy().round(), 2u);
}

TEST_F(JobRunnerTest, AGateThatRollsBackGoesOnFromTheBestRoundWhereverItIsKilled) {
  PlantARegression(v1::GATE_ROLL_BACK);
  const v1::Job plain = RunJob("rolled-back", [](int) { return false; });
  const std::vector<v1::RoundRecord> rounds = Rounds("rolled-back", plain);
  ASSERT_EQ(rounds.size(), 4u);
  EXPECT_EQ(rounds[2].policy().round(), 1u);
  EXPECT_EQ(rounds[3].policy().digest(), rounds[1].trained_policy().digest());
  EXPECT_THAT(ListDirectory(JoinPath(directory_, "checkpoints/test")).value(),
              testing::UnorderedElementsAre("round-1", "round-3"))
      << "save_total_limit is 1, but the best one is kept";
  for (int n = 14; n <= 17; ++n) {  // round 2 is published and evaluated, round 3 begins
    const v1::Job job = RunJob(absl::StrCat("killed-", n), [&](int call) { return call == n; });
    EXPECT_EQ(job.pairs_digest(), plain.pairs_digest()) << "killed at call " << n;
    EXPECT_EQ(job.weights_digest(), plain.weights_digest()) << "killed at call " << n;
  }
}

TEST_F(JobRunnerTest, ARewardModelIsNeverGivenToRolloutWorkers) {
  FakeWorkers workers;
  auto store = Store::Open(StorePath("reward-model")).value();
  v1::Job job = MakeJob();
  v1::ObjectiveSpec& objective = *job.mutable_resolved_spec()->mutable_objective();
  objective.set_loss_type(0, v1::LOSS_TYPE_REWARD_MODEL);
  objective.set_reference(v1::REFERENCE_NONE);
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
  });
  EXPECT_EQ(store->GetJob(job.name())->state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(workers.publishes, 0);
  const std::string initial = Sha256Hex("initial");
  EXPECT_EQ(workers.sampled, (std::vector<std::string>{initial, initial}));  // of both rounds
  const auto rounds = store->ListRounds(job.ordinal()).value();
  ASSERT_EQ(rounds.size(), 3u);
  EXPECT_EQ(rounds[2].policy().digest(), rounds[1].trained_policy().digest());
  EXPECT_EQ(rounds[2].phase(), v1::ROUND_PHASE_PUBLISHED);
}

TEST_F(JobRunnerTest, FailsWithAReasonWhenWorkersGiveUp) {
  FakeWorkers workers;
  workers.before_call = [](int call) {
    return call == 5 ? absl::UnavailableError("no ORACLE has been alive") : absl::OkStatus();
  };
  auto store = Store::Open(StorePath("failing")).value();
  v1::Job job;
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(MakeJob(), "").value();
    WaitUntilFinished(book, job);
  });
  job = store->GetJob(job.name()).value();
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_EQ(job.failure_reason(), v1::FAILURE_REASON_WORKERS_LOST);
  EXPECT_NE(job.message().find("no ORACLE"), std::string::npos);
}

TEST_F(JobRunnerTest, FailsWhenTheDatasetChanged) {
  FakeWorkers workers;
  auto store = Store::Open(StorePath("changed")).value();
  v1::Job job = MakeJob();
  job.set_dataset_digest("of another file");
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
  });
  EXPECT_EQ(store->GetJob(job.name())->failure_reason(), v1::FAILURE_REASON_DATASET_UNUSABLE);
}

TEST_F(JobRunnerTest, CancelsARunningJob) {
  FakeWorkers workers;
  auto store = Store::Open(StorePath("cancelled")).value();
  v1::Job job;
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    workers.before_call = [&](int call) {
      if (call == 4) {
        EXPECT_OK(book.Cancel("jobs/test"));
      }
      return absl::OkStatus();
    };
    job = book.Create(MakeJob(), "").value();
    WaitUntilFinished(book, job);
  });
  EXPECT_EQ(store->GetJob(job.name())->state(), v1::JOB_STATE_CANCELLED);
}

// Nobody is asked to judge them, and nothing is sampled to evaluate with.
TEST_F(JobRunnerTest, TrainsOnTheResponsesOfTheDataset) {
  std::string lines;
  for (int i = 0; i < 30; ++i) {
    absl::StrAppend(&lines, "{\"prompt\": \"story ", i,
                    "\", \"rejected\": \"bad\", \"chosen\": \"good\"}\n");
  }
  ASSERT_OK(WriteFile(DatasetPath(), lines));
  v1::Job job = MakeJob();
  v1::JobSpec spec;
  spec.set_algorithm(v1::ALGORITHM_OFFLINE_DPO);
  *spec.mutable_dataset() = job.resolved_spec().dataset();
  *spec.mutable_model() = job.resolved_spec().model();
  spec.mutable_evaluation()->set_holdout_prompts(4);
  *job.mutable_resolved_spec() = WithPresetAndDefaults(spec);
  FakeWorkers workers;
  auto store = Store::Open(StorePath("offline")).value();
  Live(store.get(), &workers, directory_, [&](JobBook& book) {
    job = book.Create(job, "").value();
    WaitUntilFinished(book, job);
  });
  job = store->GetJob(job.name()).value();
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED) << job.message();
  EXPECT_EQ(workers.calls, 6);  // describe, publish, sample, train, publish, rewards of labels
  const v1::RoundRecord round = *store->GetRound(job.ordinal(), 1).value();
  EXPECT_EQ(round.prompt_indices_size(), 26);
  EXPECT_EQ(round.pairs().kept(), 26u);
  EXPECT_EQ(round.mean_score(), 0.5);
  const v1::Pair pair = *store->GetPair(job.ordinal(), 1, 0).value();
  EXPECT_EQ(pair.chosen().text(), "good");
  EXPECT_EQ(pair.rejected().text(), "bad");
  EXPECT_EQ(pair.oracle(), "dataset/1");
  EXPECT_EQ(pair.oracle_digest(), job.dataset_digest());
}

}  // namespace
}  // namespace attune
