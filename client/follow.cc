#include "client/follow.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/text_format.h"
#include "common/status_macros.h"

namespace attune {
namespace {

// Rounds with their steps, which events do not carry; asked for when a new one is finished.
class FinishedRounds {
 public:
  FinishedRounds(JobClient& client, const std::string& job) : client_(client), job_(job) {}

  // The round of `record`; `record` itself if the coordinator does not answer.
  const v1::RoundRecord& Find(const v1::RoundRecord& record) {
    if (record.round() == 0) return record;
    if (const v1::RoundRecord* known = Known(record.round()); known != nullptr) return *known;
    absl::StatusOr<std::vector<v1::RoundRecord>> rounds = client_.ListRounds(job_);
    if (rounds.ok()) rounds_ = *std::move(rounds);
    const v1::RoundRecord* known = Known(record.round());
    return known != nullptr ? *known : record;
  }

 private:
  const v1::RoundRecord* Known(uint32_t round) const {
    const auto found = std::find_if(rounds_.begin(), rounds_.end(), [&](const auto& record) {
      return record.round() == round && record.phase() == v1::ROUND_PHASE_PUBLISHED;
    });
    return found != rounds_.end() ? &*found : nullptr;
  }

  JobClient& client_;
  const std::string job_;
  std::vector<v1::RoundRecord> rounds_;
};

}  // namespace

absl::StatusOr<v1::Job> FollowJob(JobClient& client, const v1::Job& job, Terminal& terminal) {
  JobProgress progress(terminal, job.resolved_spec().rounds());
  FinishedRounds rounds(client, job.name());
  const auto show = [&](const v1::JobEvent& event) {
    progress.Show(event);
    if (event.record().phase() == v1::ROUND_PHASE_PUBLISHED) {
      progress.ShowRound(rounds.Find(event.record()));
    }
  };
  ATTUNE_RETURN_IF_ERROR(client.WatchJob(job.name(), /*after_sequence=*/0, show));
  terminal.ShowLive("");
  return client.GetJob(job.name());
}

absl::StatusOr<v1::Job> FollowJobAsJson(JobClient& client, const v1::Job& job) {
  ATTUNE_RETURN_IF_ERROR(
      client.WatchJob(job.name(), /*after_sequence=*/0,
                      [](const v1::JobEvent& event) { PrintLine(ToJson(event)); }));
  return client.GetJob(job.name());
}

std::string DescribeEnd(const v1::Job& job) {
  std::string text = absl::StrCat(job.name(), " ", StateName(job.state()));
  if (job.failure_reason() != v1::FAILURE_REASON_UNSPECIFIED) {
    absl::StrAppend(&text, " (",
                    absl::StripPrefix(v1::FailureReason_Name(job.failure_reason()),
                                      "FAILURE_REASON_"),
                    ")");
  }
  if (!job.message().empty()) absl::StrAppend(&text, ": ", job.message());
  return text;
}

}  // namespace attune
