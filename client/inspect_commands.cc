#include <cstdio>
#include <memory>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "client/checkpoint_download.h"
#include "client/commands.h"
#include "client/job_client.h"
#include "client/output.h"
#include "client/report.h"
#include "client/text_format.h"
#include "common/text_table.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

struct InspectFlags {
  ServerFlags server;
  std::string job;                // x or jobs/x
  std::optional<uint32_t> round;  // pairs, download
  std::string out;                // download
};

int Rounds(const InspectFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<std::vector<v1::RoundRecord>> rounds =
      client.ListRounds(JobName(flags.job));
  if (!rounds.ok()) return PrintError(rounds.status(), flags.server.json);
  if (flags.server.json) {
    for (const v1::RoundRecord& record : *rounds) PrintLine(ToJson(record));
    return kExitDone;
  }
  const absl::StatusOr<v1::Job> job = client.GetJob(JobName(flags.job));
  if (!job.ok()) return PrintError(job.status(), flags.server.json);
  std::fputs(ReportTable(*job, *rounds).c_str(), stdout);
  return kExitDone;
}

void PrintPair(const v1::Pair& pair) {
  PrintLine(absl::StrFormat("%s  prompt %d  target %.4g  oracle %s", pair.name(),
                            pair.prompt_index(), pair.target(), pair.oracle()));
  PrintLine(absl::StrCat("  prompt    ", pair.prompt()));
  PrintLine(absl::StrFormat("  chosen    (score %.4g) %s", pair.chosen_score(),
                            pair.chosen().text()));
  PrintLine(absl::StrFormat("  rejected  (score %.4g) %s\n", pair.rejected_score(),
                            pair.rejected().text()));
}

int Pairs(const InspectFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  std::string parent = JobName(flags.job);
  if (flags.round.has_value()) absl::StrAppend(&parent, "/rounds/", *flags.round);
  const absl::Status status = client.ListPairs(parent, [&](const v1::Pair& pair) {
    if (flags.server.json) {
      PrintLine(ToJson(pair));
    } else {
      PrintPair(pair);
    }
    // As in `attune pairs x | head`: the rest would be sent for nobody.
    return std::ferror(stdout) ? absl::AbortedError("standard output is closed") : absl::OkStatus();
  });
  return status.ok() ? kExitDone : PrintError(status, flags.server.json);
}

int Checkpoints(const InspectFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<std::vector<v1::Checkpoint>> checkpoints =
      client.ListCheckpoints(JobName(flags.job));
  if (!checkpoints.ok()) return PrintError(checkpoints.status(), flags.server.json);
  std::vector<std::vector<std::string>> rows = {
      {"ROUND", "CREATED (UTC)", "SIZE", "POLICY", "PATH"}};
  for (const v1::Checkpoint& checkpoint : *checkpoints) {
    if (flags.server.json) PrintLine(ToJson(checkpoint));
    rows.push_back({absl::StrCat(checkpoint.round()), FormatTime(checkpoint.create_time()),
                    FormatBytes(checkpoint.size_bytes()),
                    checkpoint.policy().digest().substr(0, 12), checkpoint.path()});
  }
  if (!flags.server.json) std::fputs(FormatTable(rows).c_str(), stdout);
  return kExitDone;
}

int Download(const InspectFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  std::string name = JobName(flags.job);
  if (flags.round.has_value()) absl::StrAppend(&name, "/checkpoints/", *flags.round);
  const absl::StatusOr<DownloadedCheckpoint> got = DownloadCheckpoint(client, name, flags.out);
  if (!got.ok()) return PrintError(got.status(), flags.server.json);
  if (flags.server.json) {
    const nlohmann::ordered_json line = {{"checkpoint", name},
                                         {"directory", got->directory},
                                         {"files", got->files},
                                         {"bytes", got->bytes}};
    PrintLine(line.dump());
  } else {
    PrintLine(absl::StrCat(got->files, " files, ", FormatBytes(got->bytes), " in ",
                           got->directory));
  }
  return kExitDone;
}

int Workers(const InspectFlags& flags, std::stop_token stop) {
  JobClient client(flags.server.coordinator, stop);
  const absl::StatusOr<std::vector<v1::WorkerInfo>> workers = client.ListWorkers();
  if (!workers.ok()) return PrintError(workers.status(), flags.server.json);
  std::vector<std::vector<std::string>> rows = {{"ROLE", "RANK", "ADDRESS", "METRICS", "POLICY",
                                                 "ID"}};
  for (const v1::WorkerInfo& worker : *workers) {
    if (flags.server.json) PrintLine(ToJson(worker));
    const bool trains = worker.role() == v1::WORKER_ROLE_TRAINER;
    const std::string role(
        absl::StripPrefix(v1::WorkerRole_Name(worker.role()), "WORKER_ROLE_"));
    rows.push_back({role, trains ? absl::StrCat(worker.rank(), "/", worker.world_size()) : "-",
                    worker.address(), worker.metrics_address(),
                    worker.policy().digest().empty()
                        ? "-"
                        : absl::StrCat("round ", worker.policy().round(), " ",
                                       worker.policy().digest().substr(0, 12)),
                    worker.id()});
  }
  if (!flags.server.json) std::fputs(FormatTable(rows).c_str(), stdout);
  return kExitDone;
}

using Inspect = int (*)(const InspectFlags&, std::stop_token);

std::shared_ptr<InspectFlags> AddCommand(CLI::App& app, CommandAction& action,
                                         const std::string& name, const std::string& description,
                                         Inspect run) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command = app.add_subcommand(name, description);
  AddServerFlags(*command, flags->server);
  command->callback([flags, run, &action] {
    action = [flags, run](std::stop_token stop) { return run(*flags, stop); };
  });
  return flags;
}

std::shared_ptr<InspectFlags> AddJobCommand(CLI::App& app, CommandAction& action,
                                            const std::string& name,
                                            const std::string& description, Inspect run) {
  const auto flags = AddCommand(app, action, name, description, run);
  app.get_subcommand(name)
      ->add_option("JOB", flags->job, "Name of the job: x or jobs/x")
      ->required()->type_name("");
  return flags;
}

}  // namespace

void AddInspectCommands(CLI::App& app, CommandAction& action) {
  AddJobCommand(app, action, "rounds", "Show the rounds of a job", Rounds);
  const auto pairs =
      AddJobCommand(app, action, "pairs", "Show the preference pairs of a job", Pairs);
  app.get_subcommand("pairs")
      ->add_option("--round", pairs->round, "Only of this round")->type_name("R");
  AddJobCommand(app, action, "checkpoints", "List the checkpoints of a job", Checkpoints);
  const auto download = AddJobCommand(app, action, "download",
                                      "Fetch a checkpoint: a Hugging Face directory", Download);
  app.get_subcommand("download")
      ->add_option("--round", download->round, "Of this round; default: the newest")
      ->type_name("R");
  app.get_subcommand("download")
      ->add_option("--out", download->out, "New or empty directory for it")
      ->required()->type_name("DIR");
  AddCommand(app, action, "workers", "List the workers the coordinator knows", Workers);
}

}  // namespace attune
