#include <algorithm>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/follow.h"
#include "client/job_file.h"
#include "client/local_run.h"
#include "client/output.h"
#include "client/report.h"
#include "client/terminal.h"
#include "common/files.h"
#include "common/process.h"

namespace attune {
namespace {

constexpr uint32_t kProcessesMax = 64;

struct RunFlags {
  std::string job_file;
  std::string out;
  uint32_t rollout_workers = 1;
  uint32_t trainer_ranks = 1;
  bool json = false;
};

// ./attune-run-<name>; a name that will be refused anyway must not lead out of this directory.
std::string DefaultDirectory(const v1::JobSpec& spec) {
  const bool plain = spec.name().find('/') == std::string::npos && spec.name().size() <= 63;
  return absl::StrCat("attune-run-", spec.name().empty() || !plain ? "job" : spec.name());
}

void PrintResult(const LocalRunResult& result, const LocalRun& run, bool json) {
  if (json) return PrintLine(ReportJson(result.job, result.rounds, /*indent=*/-1));
  PrintLine(absl::StrCat("\n", ReportTable(result.job, result.rounds)));
  PrintLine(DescribeEnd(result.job));
  PrintLine(absl::StrCat("  report         ", run.report_path()));
  if (result.job.state() == v1::JOB_STATE_SUCCEEDED) {
    PrintLine(absl::StrCat("  trained model  ", run.model_path()));
  }
  PrintLine(absl::StrCat("  data and logs  ", run.cluster_path()));
}

int Run(const RunFlags& flags, std::stop_token stop) {
  const absl::StatusOr<JobFile> file = LoadJobFile(flags.job_file);
  if (!file.ok()) return PrintError(file.status(), flags.json);
  LocalClusterOptions cluster;
  cluster.binary_directory = BinaryDirectory();
  cluster.model_root = AbsolutePath(".");
  cluster.rollout_workers = flags.rollout_workers;
  cluster.trainer_ranks = flags.trainer_ranks;
  cluster.cores = std::max(1u, std::thread::hardware_concurrency());
  const std::string directory = flags.out.empty() ? DefaultDirectory(file->spec) : flags.out;
  // With --json standard output is for programs alone.
  Terminal terminal(flags.json ? stderr : stdout);
  LocalRun run(directory, cluster, terminal, stop);
  const absl::StatusOr<LocalRunResult> result = run.Execute(*file);
  if (!result.ok()) return PrintError(result.status(), flags.json);
  PrintResult(*result, run, flags.json);
  if (result->job.state() == v1::JOB_STATE_SUCCEEDED) return kExitDone;
  return PrintError(absl::UnknownError(DescribeEnd(result->job)), /*json=*/false);
}

}  // namespace

void AddRunCommand(CLI::App& app, CommandAction& action) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* run = app.add_subcommand(
      "run", "Run a job from start to end on a local cluster of its own, with a report");
  run->add_option("JOB.yaml", flags->job_file, "Job file")->required()->type_name("");
  run->add_option("--out", flags->out, "Directory for all results; default ./attune-run-<name>")
      ->type_name("DIR");
  run->add_option("--rollout-workers", flags->rollout_workers, "Processes that sample")
      ->type_name("N")->capture_default_str()
      ->check(CLI::Range(1u, kProcessesMax).description(""));
  run->add_option("--trainer-ranks", flags->trainer_ranks, "Processes that train together")
      ->type_name("N")->capture_default_str()
      ->check(CLI::Range(1u, kProcessesMax).description(""));
  AddJsonFlag(*run, flags->json);
  run->footer(
      "Writes DIR/report.json and DIR/model (a Hugging Face directory); data and logs are in\n"
      "DIR/cluster. After a crash the same command continues the job. Ctrl-C cancels the job,\n"
      "stops every process and exits with 130.");
  run->callback([flags, &action] {
    action = [flags](std::stop_token stop) { return Run(*flags, stop); };
  });
}

}  // namespace attune
