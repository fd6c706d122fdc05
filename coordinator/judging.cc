#include "coordinator/judging.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "common/check.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "spec/answer_check.h"
#include "spec/oracle_spec.h"

namespace attune {
namespace {

// False when `stop` was requested.
bool PauseUnlessStopped(absl::Duration duration, const std::stop_token& stop) {
  absl::Notification stopped;
  std::stop_callback notify(stop, [&] { stopped.Notify(); });
  return !stopped.WaitForNotificationWithTimeout(duration);
}

std::vector<size_t> Failed(absl::Span<const v1::Judgment> judgments) {
  std::vector<size_t> failed;
  for (size_t i = 0; i < judgments.size(); ++i) {
    if (!judgments[i].failure().empty()) failed.push_back(i);
  }
  return failed;
}

}  // namespace

absl::StatusOr<std::vector<v1::Judgment>> JudgePatiently(Workers& workers,
                                                         const v1::JudgeRequest& request,
                                                         const Patience& patience,
                                                         std::stop_token stop,
                                                         const ProgressCall& progress) {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Judgment> judgments,
                          workers.Judge(request, stop, progress));
  std::vector<size_t> failed = Failed(judgments);
  const auto passes = [&] {
    if (!AsksOutside(request.spec())) return 1;
    const double limit = request.spec().max_quarantined() * static_cast<double>(judgments.size());
    return static_cast<double>(failed.size()) > limit ? patience.outage_passes : patience.passes;
  };
  for (int pass = 1; pass < passes() && !failed.empty(); ++pass) {
    const absl::Duration pause = patience.between.Delay(static_cast<uint32_t>(pass), pass);
    LogWarning(failed.size(), " of ", judgments.size(), " prompts could not be judged (",
               judgments[failed[0]].failure(), "); asking again in ",
               absl::FormatDuration(pause));
    if (!PauseUnlessStopped(pause, stop)) return absl::CancelledError("stopped");
    v1::JudgeRequest again;
    *again.mutable_spec() = request.spec();
    for (size_t i : failed) *again.add_items() = request.items(static_cast<int>(i));
    const uint64_t before = judgments.size() - failed.size();
    ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Judgment> answers,
                            workers.Judge(again, stop, [&](uint64_t done, uint64_t) {
                              progress(before + done, judgments.size());
                            }));
    ATTUNE_CHECK(answers.size() == failed.size());
    for (size_t k = 0; k < failed.size(); ++k) judgments[failed[k]] = std::move(answers[k]);
    failed = Failed(judgments);
  }
  return judgments;
}

absl::Status CheckAnswers(const v1::JudgeRequest& request, v1::JudgeResponse* response) {
  if (response->judgments_size() != request.items_size()) {
    return absl::InternalError(absl::StrCat("an oracle answered ", response->judgments_size(),
                                            " judgments for ", request.items_size(), " prompts"));
  }
  for (int i = 0; i < request.items_size(); ++i) {
    v1::Judgment& judgment = *response->mutable_judgments(i);
    const v1::Candidates& item = request.items(i);
    if (judgment.prompt_index() != item.prompt_index()) {
      return absl::InternalError(absl::StrCat("an oracle answered about prompt ",
                                              judgment.prompt_index(), " where it was asked about ",
                                              item.prompt_index()));
    }
    if (judgment.failure().empty()) {
      const absl::Status status =
          CheckAnswer(judgment.scores(), judgment.preferences(),
                      static_cast<size_t>(item.responses_size()));
      judgment.set_failure(std::string(status.message()));
    }
    if (judgment.failure().empty()) continue;
    judgment.clear_scores();
    judgment.clear_preferences();
  }
  return absl::OkStatus();
}

void AddAuxiliary(absl::Span<const v1::Judgment> auxiliary, std::vector<v1::Judgment>* judgments) {
  ATTUNE_CHECK(auxiliary.size() == judgments->size());
  for (size_t i = 0; i < auxiliary.size(); ++i) {
    v1::Judgment& judgment = (*judgments)[i];
    *judgment.add_auxiliary()->mutable_scores() = auxiliary[i].scores();
    if (auxiliary[i].failure().empty() || !judgment.failure().empty()) continue;
    judgment.set_failure(absl::StrCat("auxiliary oracle: ", auxiliary[i].failure()));
    judgment.clear_scores();
    judgment.clear_preferences();
  }
}

std::vector<v1::Quarantined> QuarantineOf(absl::Span<const v1::Judgment> judgments) {
  std::vector<v1::Quarantined> quarantined;
  for (size_t i : Failed(judgments)) {
    v1::Quarantined& entry = quarantined.emplace_back();
    entry.set_prompt_index(judgments[i].prompt_index());
    entry.set_failure(judgments[i].failure());
  }
  return quarantined;
}

absl::Status CheckQuarantine(const v1::OracleSpec& oracle,
                             const google::protobuf::RepeatedPtrField<v1::Quarantined>& quarantined,
                             int prompts) {
  const double share = static_cast<double>(quarantined.size()) / std::max(prompts, 1);
  const bool all = quarantined.size() == prompts;
  if (quarantined.empty() || (share <= oracle.max_quarantined() && !all)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrFormat(
      "%d of %d prompts could not be judged, and oracle.max_quarantined is %g; the last failure: "
      "%s. The samples are kept: once the oracle is well again, attune retry goes on with them",
      quarantined.size(), prompts, oracle.max_quarantined(), quarantined.rbegin()->failure()));
}

std::vector<uint32_t> OutstandingQuarantine(absl::Span<const v1::RoundRecord> rounds) {
  std::vector<uint32_t> outstanding;
  for (const v1::RoundRecord& round : rounds) {
    const auto& drawn = round.prompt_indices();
    outstanding.erase(std::remove_if(outstanding.begin(), outstanding.end(),
                                     [&](uint32_t prompt) {
                                       return std::find(drawn.begin(), drawn.end(), prompt) !=
                                              drawn.end();
                                     }),
                      outstanding.end());
    for (const v1::Quarantined& entry : round.quarantined()) {
      outstanding.push_back(entry.prompt_index());
    }
  }
  return outstanding;
}

}  // namespace attune
