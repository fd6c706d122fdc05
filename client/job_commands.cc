#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands.h"
#include "client/follow.h"
#include "client/job_client.h"
#include "client/job_file.h"
#include "client/output.h"
#include "client/submission.h"
#include "client/terminal.h"
#include "client/text_format.h"
#include "common/text_table.h"

namespace attune {
namespace {

struct JobFlags {
  ServerFlags server;
  std::string job;  // x or jobs/x
};

struct SubmitFlags {
  ServerFlags server;
  std::string job_file;
  std::string request_id;
  bool watch = false;
  bool validate_only = false;
};

int Watch(JobClient& client, const v1::Job& job, bool json, std::stop_token stop) {
  Terminal terminal(json ? stderr : stdout);
  const absl::StatusOr<v1::Job> ended =
      json ? FollowJobAsJson(client, job) : FollowJob(client, job, terminal);
  if (!ended.ok() && stop.stop_requested()) {
    terminal.ShowLive("");
    terminal.Print(absl::StrCat(job.name(), " goes on; see it with: attune watch ", job.name()));
    return kExitStopped;
  }
  if (!ended.ok()) return PrintError(ended.status(), json);
  if (ended->state() != v1::JOB_STATE_SUCCEEDED) {
    return PrintError(absl::UnknownError(DescribeEnd(*ended)), /*json=*/false);
  }
  if (!json) PrintLine(DescribeEnd(*ended));
  return kExitDone;
}

int Submit(const SubmitFlags& flags, std::stop_token stop) {
  const bool json = flags.server.json;
  const absl::StatusOr<JobFile> file = LoadJobFile(flags.job_file);
  if (!file.ok()) return PrintError(file.status(), json);
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<v1::Job> job =
      SubmitJob(client, *file, flags.request_id, flags.validate_only);
  if (!job.ok()) return PrintError(job.status(), json);
  if (json) {
    PrintLine(ToJson(*job));
  } else if (flags.validate_only) {
    PrintLine(absl::StrCat(flags.job_file, " is valid"));
  } else {
    PrintLine(absl::StrCat(job->name(), " ", StateName(job->state())));
  }
  if (flags.validate_only || !flags.watch) return kExitDone;
  return Watch(client, *job, json, stop);
}

int List(const ServerFlags& flags, std::stop_token stop) {
  JobClient client(flags.coordinator, stop);
  const absl::StatusOr<std::vector<v1::Job>> jobs = client.ListJobs();
  if (!jobs.ok()) return PrintError(jobs.status(), flags.json);
  std::vector<std::vector<std::string>> rows = {{"JOB", "STATE", "ROUND", "CREATED (UTC)", "NOTE"}};
  for (const v1::Job& job : *jobs) {
    if (flags.json) PrintLine(ToJson(job));
    rows.push_back({job.name(), StateName(job.state()),
                    absl::StrCat(job.round(), "/", job.resolved_spec().rounds()),
                    FormatTime(job.create_time()), job.message()});
  }
  if (!flags.json) std::fputs(FormatTable(rows).c_str(), stdout);
  return kExitDone;
}

void PrintJob(const v1::Job& job) {
  std::vector<std::vector<std::string>> rows = {
      {"job", job.name()},
      {"state", StateName(job.state())},
      {"round", absl::StrCat(job.round(), " of ", job.resolved_spec().rounds())},
      {"model", job.resolved_spec().model().path()},
      {"dataset", job.resolved_spec().dataset().path()},
      {"created", FormatTime(job.create_time())},
      {"started", FormatTime(job.start_time())},
      {"ended", FormatTime(job.end_time())}};
  if (job.initial_evaluation().prompts() > 0) {
    rows.push_back({"best round", absl::StrCat(job.best_round())});
  }
  if (!job.message().empty()) rows.push_back({"note", DescribeEnd(job)});
  if (!job.pairs_digest().empty()) rows.push_back({"pairs digest", job.pairs_digest()});
  if (!job.weights_digest().empty()) rows.push_back({"weights digest", job.weights_digest()});
  std::fputs(FormatTable(rows).c_str(), stdout);
}

int Get(const JobFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<v1::Job> job = client.GetJob(JobName(flags.job));
  if (!job.ok()) return PrintError(job.status(), flags.server.json);
  if (flags.server.json) {
    PrintLine(ToJson(*job));
  } else {
    PrintJob(*job);
  }
  return kExitDone;
}

int WatchNamed(const JobFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<v1::Job> job = client.GetJob(JobName(flags.job));
  if (!job.ok()) return PrintError(job.status(), flags.server.json);
  return Watch(client, *job, flags.server.json, stop);
}

int Cancel(const JobFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<v1::Job> job = client.CancelJob(JobName(flags.job));
  if (!job.ok()) return PrintError(job.status(), flags.server.json);
  PrintLine(flags.server.json ? ToJson(*job)
                              : absl::StrCat(job->name(), " ", StateName(job->state())));
  return kExitDone;
}

int Retry(const JobFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<v1::Job> job = client.RetryQuarantined(JobName(flags.job));
  if (!job.ok()) return PrintError(job.status(), flags.server.json);
  if (flags.server.json) {
    PrintLine(ToJson(*job));
  } else if (job->retry_prompts().empty()) {
    PrintLine(absl::StrCat(job->name(), " ", StateName(job->state())));
  } else {
    PrintLine(absl::StrCat(job->name(), ": ", job->retry_prompts_size(),
                           " quarantined prompts will be drawn again"));
  }
  return kExitDone;
}

void AddSubmit(CLI::App& app, CommandAction& action) {
  auto flags = std::make_shared<SubmitFlags>();
  CLI::App* submit = app.add_subcommand("submit", "Submit a job to a coordinator");
  submit->add_option("JOB.yaml", flags->job_file, "Job file")->required()->type_name("");
  submit->add_flag("--watch", flags->watch, "Follow the job to its end");
  submit->add_option("--request-id", flags->request_id,
                     "The same id gives the same job again: for scripts that may run twice")
      ->type_name("ID");
  submit->add_flag("--validate-only", flags->validate_only,
                   "Only say whether the job would be accepted");
  AddServerFlags(*submit, flags->server);
  submit->footer("A refused job prints every problem, one per line, and exits with 2.");
  submit->callback([flags, &action] {
    action = [flags](std::stop_token stop) { return Submit(*flags, stop); };
  });
}

void AddOneJobCommand(CLI::App& app, CommandAction& action, const std::string& name,
                      const std::string& description,
                      int (*run)(const JobFlags&, std::stop_token)) {
  auto flags = std::make_shared<JobFlags>();
  CLI::App* command = app.add_subcommand(name, description);
  command->add_option("JOB", flags->job, "Name of the job: x or jobs/x")
      ->required()->type_name("");
  AddServerFlags(*command, flags->server);
  command->callback([flags, run, &action] {
    action = [flags, run](std::stop_token stop) { return run(*flags, stop); };
  });
}

}  // namespace

void AddJobCommands(CLI::App& app, CommandAction& action) {
  AddSubmit(app, action);
  auto flags = std::make_shared<ServerFlags>();
  CLI::App* list = app.add_subcommand("list", "List all jobs, newest first");
  AddServerFlags(*list, *flags);
  list->callback([flags, &action] {
    action = [flags](std::stop_token stop) { return List(*flags, stop); };
  });
  AddOneJobCommand(app, action, "get", "Show a job", Get);
  AddOneJobCommand(app, action, "watch",
                   "Follow a job to its end; exits with 1 if it fails or is cancelled", WatchNamed);
  AddOneJobCommand(app, action, "cancel", "End a job", Cancel);
  AddOneJobCommand(app, action, "retry",
                   "Give quarantined prompts, or a job whose oracle failed, another chance", Retry);
}

}  // namespace attune
