// Which prompts a round works on, and which of them are judged. Pure.
#ifndef ATTUNE_COORDINATOR_CURRICULUM_H_
#define ATTUNE_COORDINATOR_CURRICULUM_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "attune/v1/job.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"
#include "spec/dataset_file.h"

namespace attune {

// Whether prompts are drawn again by the spread of their scores.
bool HasBand(const v1::CurriculumSpec& curriculum);

// The prompts of round `round` (from 1) by spec.curriculum, then those of `retry` that are not
// among them. `earlier` are the records of the rounds before, 0 included, in order. Without a
// curriculum they are RoundPrompts'. With one, each domain has an order of its own, a seeded
// shuffle repeated, of which rounds take consecutive parts; prompts outside the band are passed
// over. No prompt comes twice; fewer than spec.prompts_per_round come where domains or the band
// have not as many.
std::vector<uint32_t> DrawPrompts(const v1::JobSpec& spec, const Dataset& dataset, uint32_t round,
                                  absl::Span<const v1::RoundRecord> earlier,
                                  absl::Span<const uint32_t> retry);

// The domains that are not wholly held out, in the order in which the dataset first names them.
std::vector<std::string> DomainOrder(const v1::JobSpec& spec, const Dataset& dataset);

// Of mixing sequential, with as many rounds as domains or more (CHECK): the domain of round `round`
// (from 1), and whether it is that domain's last. Rounds are divided evenly in DomainOrder; the
// first domains take one more each where there is a rest.
struct DomainRound {
  std::string domain;
  bool last;
};
DomainRound DomainOfRound(const v1::JobSpec& spec, const Dataset& dataset, uint32_t round);

// Shares of the domains in the next round by what they gained: of the gains g of the held-out mean
// scores over the last round, w = 1/2 uniform + 1/2 softmax(g / max |g|), which maximises
// sum w g + max |g| * entropy(w) above a floor of half the uniform share. Uniform where fewer than
// two rounds have been measured. Sums to 1. `scores` are by round, each by domain.
std::map<std::string, double> WeightsByGain(
    absl::Span<const std::map<std::string, double>> scores,
    const std::vector<std::string>& domains);

// How different the texts are: 1 - mean over pairs of the share of word pairs (bigrams) in common
// (Jaccard); 0 for fewer than two. In [0, 1].
double Disagreement(absl::Span<const std::string> texts);

// Positions within the round of the prompts to be judged: the `share` (rounded up) whose responses
// differ most, earlier positions first among equals; ascending. `responses` are grouped by prompt.
std::vector<size_t> PromptsToJudge(absl::Span<const v1::Response> responses, double share);

// Highest - lowest score of each judgment, -1 without scores.
std::vector<double> Spreads(absl::Span<const v1::Judgment> judgments);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_CURRICULUM_H_
