// What a watched job tells people: a line when a phase of a round is done, one when a round is, and
// on a terminal a live line in between.
#ifndef ATTUNE_CLIENT_PROGRESS_H_
#define ATTUNE_CLIENT_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "attune/v1/job_service.pb.h"
#include "attune/v1/round.pb.h"
#include "client/terminal.h"

namespace attune {

// "round 2/3  sampled   640 responses  51,200 tokens  4.1 s". `rounds` is the job's number.
std::string FormatPhaseLine(const v1::RoundRecord& record, uint32_t rounds);

// "round 2/3  done      250 pairs, dropped 6 (4 tie, 2 low margin)  loss 0.612  margin 0.214  ...".
// Loss and margin are those of the last update in record.steps, and left out without it.
std::string FormatRoundLine(const v1::RoundRecord& record, uint32_t rounds);

// "round 2/3  sampling  [=====>    ]  320/640 responses  52.1/s  6.1 s left".
std::string FormatLiveLine(uint32_t round, const v1::Progress& progress, uint32_t rounds);

// "250 pairs, dropped 6 (4 tie, 2 low margin)".
std::string FormatPairCounts(const v1::PairCounts& counts);

// Seconds of work in all phases that are done.
double RoundSeconds(const v1::RoundRecord& record);

// Until the job ends, if the rounds to come take as long as those in `round_seconds`, and
// `elapsed` of the current one is over; nothing before the first round is done.
std::optional<double> RemainingSeconds(const std::vector<double>& round_seconds, uint32_t rounds,
                                       double elapsed);

// Turns the events of one job into lines on a terminal. Not thread-safe.
class JobProgress {
 public:
  // `rounds` is the number of rounds of the job.
  JobProgress(Terminal& terminal, uint32_t rounds);

  // A phase that is done is followed by a line for each of its alarms.
  void Show(const v1::JobEvent& event);
  // A round that is done, with its steps.
  void ShowRound(const v1::RoundRecord& record);

 private:
  std::string AboutLeft(double elapsed) const;
  void ShowAlarms(const v1::RoundRecord& record);

  Terminal& terminal_;
  const uint32_t rounds_;
  uint32_t alarms_round_ = 0;  // whose first alarms_shown_ alarms were shown
  int alarms_shown_ = 0;
  std::vector<double> round_seconds_;
  absl::Duration round_start_;  // MonotonicTime
};

}  // namespace attune

#endif  // ATTUNE_CLIENT_PROGRESS_H_
