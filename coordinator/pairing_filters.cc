#include "coordinator/pairing_filters.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/ches.h"

namespace attune {
namespace {

// A field of PairCounts, by number: where a proposal is counted.
using Count = int;

void Add(Count count, size_t proposals, v1::PairCounts* counts) {
  const auto* field = v1::PairCounts::descriptor()->FindFieldByNumber(count);
  const auto* reflection = v1::PairCounts::GetReflection();
  const uint32_t before = reflection->GetUInt32(*counts, field);
  reflection->SetUInt32(counts, field, before + static_cast<uint32_t>(proposals));
}

// A proposal with what the filters look at.
struct Sides {
  const v1::Response& chosen;
  const v1::Response& rejected;
};

Sides SidesOf(const Selected& pair) {
  return {pair.candidates->responses[pair.proposal.chosen],
          pair.RejectedCandidates().responses[pair.proposal.rejected]};
}

bool GoesByScores(const v1::PairingSpec& spec) {
  return spec.strategy() != v1::PAIRING_STRATEGY_TEACHER_WINS;
}

bool KeepsTies(const v1::PairingSpec& spec) {
  return spec.tie_policy() == v1::TIE_POLICY_FIRST || spec.tie_policy() == v1::TIE_POLICY_SOFT;
}

bool LacksTokens(const Candidates& candidates, const Proposal& proposal) {
  const auto empty = [&](size_t i) { return candidates.responses[i].token_ids().empty(); };
  return empty(proposal.chosen) || empty(proposal.rejected) ||
         std::any_of(proposal.others.begin(), proposal.others.end(), empty);
}

bool SameTokens(const v1::Response& a, const v1::Response& b) {
  return std::equal(a.token_ids().begin(), a.token_ids().end(), b.token_ids().begin(),
                    b.token_ids().end());
}

bool SameText(const v1::Response& a, const v1::Response& b) {
  return absl::StripAsciiWhitespace(a.text()) == absl::StripAsciiWhitespace(b.text());
}

bool IsGold(const v1::Response& response) { return response.provenance() == v1::PROVENANCE_GOLD; }

// An opponent's sample counts as a student's.
v1::PairSource SourceOf(const Sides& sides) {
  if (IsGold(sides.chosen)) return v1::PAIR_SOURCE_GOLD_STUDENT;
  return IsGold(sides.rejected) ? v1::PAIR_SOURCE_STUDENT_GOLD : v1::PAIR_SOURCE_STUDENT_STUDENT;
}

bool IsAllowed(const v1::PairingSpec& spec, v1::PairSource source) {
  const auto& sources = spec.sources();
  return sources.empty() || std::find(sources.begin(), sources.end(), source) != sources.end();
}

// Both have tokens.
double LengthRatio(const Sides& sides) {
  const auto [shorter, longer] =
      std::minmax({sides.chosen.token_ids_size(), sides.rejected.token_ids_size()});
  return static_cast<double>(longer) / shorter;
}

double LeastMargin(const v1::PairingSpec& spec, const v1::Response& chosen) {
  return !IsGold(chosen) && spec.has_min_margin_student() ? spec.min_margin_student()
                                                          : spec.min_margin();
}

// Where a proposal counts; equal tokens come before equal scores, for which they are the reason.
Count Judge(const v1::PairingSpec& spec, const Candidates& candidates, const Proposal& proposal) {
  using Counts = v1::PairCounts;
  const Sides sides = SidesOf({&candidates, proposal});
  const double gap = candidates.Gap(proposal.chosen, proposal.rejected);
  const bool is_tie = candidates.Ties(proposal.chosen, proposal.rejected);
  const bool is_list = spec.strategy() == v1::PAIRING_STRATEGY_GROUP;
  if (LacksTokens(candidates, proposal)) return Counts::kEmptyFieldNumber;
  if (!is_list && SameTokens(sides.chosen, sides.rejected)) return Counts::kDuplicateFieldNumber;
  if (spec.drop_same_text() && SameText(sides.chosen, sides.rejected)) {
    return Counts::kSameTextFieldNumber;
  }
  if (candidates.defective[proposal.chosen]) return Counts::kDefectFieldNumber;
  if (GoesByScores(spec) && is_tie && !KeepsTies(spec)) return Counts::kTieFieldNumber;
  if (!IsAllowed(spec, SourceOf(sides))) return Counts::kSourceFieldNumber;
  if (spec.max_length_ratio() > 0 && LengthRatio(sides) > spec.max_length_ratio()) {
    return Counts::kLengthRatioFieldNumber;
  }
  if (spec.has_min_chosen_score() && candidates.scores[proposal.chosen] < spec.min_chosen_score()) {
    return Counts::kLowScoreFieldNumber;
  }
  const bool is_narrow = GoesByScores(spec) && gap < LeastMargin(spec, sides.chosen);
  return is_narrow ? Counts::kLowMarginFieldNumber : Counts::kKeptFieldNumber;
}

// Of infinite gaps the scores decide.
void SortByGap(const Candidates& candidates, std::vector<Proposal>& proposals) {
  const auto key = [&](const Proposal& proposal) {
    return std::make_tuple(
        -candidates.Gap(proposal.chosen, proposal.rejected),
        candidates.scores[proposal.rejected] - candidates.scores[proposal.chosen], proposal.chosen,
        proposal.rejected);
  };
  std::sort(proposals.begin(), proposals.end(),
            [&](const Proposal& a, const Proposal& b) { return key(a) < key(b); });
}

}  // namespace

double PairChes(const v1::Response& chosen, const v1::Response& rejected) {
  const double score = ChesScore<float>(chosen.hidden_sum(), chosen.token_ids_size(),
                                        rejected.hidden_sum(), rejected.token_ids_size());
  return std::isnan(score) ? std::numeric_limits<double>::infinity() : score;
}

std::vector<Proposal> FilterProposals(const v1::PairingSpec& spec, const Candidates& candidates,
                                      const std::vector<Proposal>& proposals,
                                      v1::PairCounts* counts) {
  std::vector<Proposal> kept;
  for (const Proposal& proposal : proposals) {
    const Count count = Judge(spec, candidates, proposal);
    if (count == v1::PairCounts::kKeptFieldNumber) {
      kept.push_back(proposal);
    } else {
      Add(count, 1, counts);
    }
  }
  SortByGap(candidates, kept);
  const size_t limit = spec.max_pairs_per_prompt();
  if (kept.size() > limit) {
    Add(v1::PairCounts::kOverLimitFieldNumber, kept.size() - limit, counts);
    kept.resize(limit);
  }
  return kept;
}

bool IsSoftTie(const v1::PairingSpec& spec, const Candidates& candidates,
               const Proposal& proposal) {
  return GoesByScores(spec) && spec.tie_policy() == v1::TIE_POLICY_SOFT &&
         candidates.Ties(proposal.chosen, proposal.rejected);
}

std::vector<Selected> KeepLowestChes(const v1::PairingSpec& spec, std::vector<Selected> pairs,
                                     v1::PairCounts* counts) {
  if (spec.ches_percentile() >= 100) return pairs;
  std::vector<double> scores;
  for (const Selected& pair : pairs) {
    const Sides sides = SidesOf(pair);
    scores.push_back(PairChes(sides.chosen, sides.rejected));
  }
  std::vector<size_t> order(pairs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] < scores[b]; });
  const double share = spec.ches_percentile() * static_cast<double>(pairs.size()) / 100;
  order.resize(static_cast<size_t>(std::ceil(share)));
  std::sort(order.begin(), order.end());
  Add(v1::PairCounts::kHighChesFieldNumber, pairs.size() - order.size(), counts);
  std::vector<Selected> kept;
  for (size_t i : order) kept.push_back(std::move(pairs[i]));
  return kept;
}

void CountKept(const v1::PairingSpec& spec, const Selected& pair, v1::PairCounts* counts) {
  Add(v1::PairCounts::kKeptFieldNumber, 1, counts);
  if (pair.of_rejected == nullptr && IsSoftTie(spec, *pair.candidates, pair.proposal)) {
    Add(v1::PairCounts::kSoftTieFieldNumber, 1, counts);
  }
  switch (SourceOf(SidesOf(pair))) {
    case v1::PAIR_SOURCE_GOLD_STUDENT:
      return Add(v1::PairCounts::kGoldStudentFieldNumber, 1, counts);
    case v1::PAIR_SOURCE_STUDENT_GOLD:
      return Add(v1::PairCounts::kStudentGoldFieldNumber, 1, counts);
    default:
      return Add(v1::PairCounts::kStudentStudentFieldNumber, 1, counts);
  }
}

}  // namespace attune
