// Works off jobs one after another: for each round, the work of the next phase, AdvanceRound, one
// atomic write; until every round is published. After a crash it goes on from the last record and
// repeats one phase.
#ifndef ATTUNE_COORDINATOR_JOB_RUNNER_H_
#define ATTUNE_COORDINATOR_JOB_RUNNER_H_

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "common/metrics.h"
#include "coordinator/evaluation.h"
#include "coordinator/job_book.h"
#include "coordinator/round.h"
#include "coordinator/workers.h"
#include "spec/dataset_file.h"
#include "storage/store.h"

namespace attune {

class JobRunner {
 public:
  // All must outlive the runner. Checkpoints go to `checkpoint_root`/{job}/round-{r}, which
  // trainers and rollout workers see under the same path.
  JobRunner(JobBook* book, Store* store, Workers* workers, Metrics* metrics,
            std::string checkpoint_root);

  // Until the book is shut down. One thread.
  void Run();

 private:
  // Everything a phase needs; made once per job, constant but for `job` and `record`.
  struct Context {
    v1::Job job;
    Dataset dataset;
    std::vector<uint32_t> holdout;
    Dataset labelled;  // of oracle.calibration; without prompts: none
    v1::RoundRecord record;
    std::stop_token stop;
  };

  absl::Status RunJob(Context& context);
  absl::Status Begin(Context& context);
  absl::Status LoadRound(Context& context, uint32_t round);
  absl::Status RunRound(Context& context);
  absl::Status Finish(Context& context);
  // Stores why the job ended otherwise.
  void End(Context& context, const absl::Status& status);

  // The work of NextPhase(context.record).
  [[nodiscard]] absl::StatusOr<PhaseResult> RunPhase(const Context& context);
  [[nodiscard]] absl::StatusOr<PhaseResult> ChoosePrompts(const Context& context);
  [[nodiscard]] absl::StatusOr<PhaseResult> Sample(const Context& context);
  [[nodiscard]] absl::StatusOr<PhaseResult> Judge(const Context& context);
  [[nodiscard]] absl::StatusOr<PhaseResult> Pair(const Context& context);
  [[nodiscard]] absl::StatusOr<PhaseResult> Train(const Context& context);
  [[nodiscard]] absl::StatusOr<PhaseResult> Publish(const Context& context);
  [[nodiscard]] absl::StatusOr<v1::Evaluation> EvaluateLabels(const Context& context);

  [[nodiscard]] absl::StatusOr<std::vector<v1::Judgment>> AskOracle(
      const Context& context, const v1::OracleSpec& oracle,
      const std::vector<v1::Response>& responses);

  // What a phase means in view of the rounds before: alarms, the gate, which held-out responses go.
  // The policy's responses to held-out prompts beside those of earlier rounds.
  [[nodiscard]] absl::StatusOr<PolicyPublished> EvaluateSamples(const Context& context,
                                                                const Policies& policies);
  // The oracle on its labelled pairs, beside what it said about them in round 0.
  [[nodiscard]] absl::StatusOr<v1::Calibration> CalibrateOracle(const Context& context);
  absl::Status CompareWithEarlierRounds(const Context& context, RoundStep* step);
  // Held-out responses that the record's round is judged against.
  [[nodiscard]] absl::StatusOr<std::vector<EarlierRound>> HoldoutsBefore(const Context& context);

  absl::Status Commit(Context& context, RoundStep step, double seconds);
  void TellAlarms(const Context& context, const std::vector<v1::Alarm>& alarms);
  void CountPhase(const Context& context, const v1::RoundRecord& record, double seconds);
  Policies PoliciesFor(const Context& context, const v1::PolicyVersion& version) const;
  std::string CheckpointPath(const v1::Job& job, uint32_t round) const;
  std::string ReferencePath(const v1::Job& job, uint32_t round) const;
  void RemoveOldCheckpoints(const Context& context) const;
  ProgressCall ProgressOf(const Context& context, const std::string& unit, bool evaluating);

  JobBook* const book_;
  Store* const store_;
  Workers* const workers_;
  Metrics* const metrics_;
  const std::string checkpoint_root_;
};

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_JOB_RUNNER_H_
