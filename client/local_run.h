// `attune run`: a local cluster, one job to its end, a report and the trained model, in a directory
// of its own:
//   DIR/cluster/      data of the coordinator; logs of all processes in DIR/cluster/logs
//   DIR/report.json   see report.h
//   DIR/model/        the newest checkpoint, a Hugging Face directory
// An unfinished job in DIR is continued by the next run there; the data of a finished one make room
// for the new job once that is accepted.
#ifndef ATTUNE_CLIENT_LOCAL_RUN_H_
#define ATTUNE_CLIENT_LOCAL_RUN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/job_client.h"
#include "client/job_file.h"
#include "client/local_cluster.h"
#include "client/terminal.h"

namespace attune {

struct LocalRunResult {
  v1::Job job;  // finished
  std::vector<v1::RoundRecord> rounds;
};

class LocalRun {
 public:
  // `cluster` without data_directory and port. `terminal` must outlive the object.
  LocalRun(const std::string& directory, const LocalClusterOptions& cluster, Terminal& terminal,
           std::stop_token user_stop);
  ~LocalRun();  // stops the cluster

  // Once. A job that failed is a result, not an error. Errors: INVALID_ARGUMENT with every problem
  // of a refused job (then nothing of this run is left), FAILED_PRECONDITION when the directory
  // holds something else, CANCELLED when the user stopped it (the job is cancelled then), and what
  // befell the cluster.
  [[nodiscard]] absl::StatusOr<LocalRunResult> Execute(const JobFile& file);

  const std::string& directory() const { return directory_; }
  std::string report_path() const;
  std::string model_path() const;
  std::string cluster_path() const { return cluster_options_.data_directory; }

 private:
  [[nodiscard]] absl::StatusOr<LocalRunResult> ExecuteInCluster(const JobFile& file);
  absl::Status CheckDirectory();
  absl::Status StartCluster();
  void StopCluster();
  absl::Status WaitForWorkers(uint32_t trainer_ranks);
  // The job of an earlier run in this directory.
  [[nodiscard]] absl::StatusOr<std::optional<v1::Job>> EarlierJob();
  // Validates, makes room, creates.
  [[nodiscard]] absl::StatusOr<v1::Job> CreateJob(const JobFile& file, bool make_room);
  [[nodiscard]] absl::StatusOr<LocalRunResult> Collect(const v1::Job& job);
  // The user wants to stop: ends the job so that the next run here begins afresh.
  void CancelJob();
  void RemoveWhatWasCreated();
  JobClient MakeClient() const;

  const std::string directory_;
  LocalClusterOptions cluster_options_;
  Terminal& terminal_;
  const std::stop_token user_stop_;
  std::stop_source stop_;  // requested by the user, and when the cluster gives up
  std::vector<std::string> new_directories_;  // created by this run, outermost first
  std::unique_ptr<LocalCluster> cluster_;
  std::string job_;  // its name, once it exists
};

}  // namespace attune

#endif  // ATTUNE_CLIENT_LOCAL_RUN_H_
