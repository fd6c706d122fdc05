#include "coordinator/pairing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "common/check.h"
#include "common/digest.h"
#include "common/rng.h"

namespace attune {
namespace {

constexpr uint64_t kPairingDraw = 0x70616972696e6731;  // "pairing1": which of a job's draws it is

// The responses of one prompt with their scores; positions below are positions in here.
struct Candidates {
  const v1::Prompt* prompt;
  absl::Span<const v1::Response> responses;
  const v1::Judgment* judgment;
  std::vector<double> win_rates;
  std::vector<double> penalized;  // scores less the length penalty

  size_t size() const { return responses.size(); }
  double score(size_t position) const { return judgment->scores(static_cast<int>(position)); }
};

// Two candidates that a strategy proposes. Of equal scores chosen is the first response.
struct Proposal {
  size_t chosen;
  size_t rejected;
};

std::vector<double> WinRates(const v1::Judgment& judgment) {
  const int candidates = judgment.scores_size();
  std::vector<double> rates(candidates, 0.0);
  if (candidates < 2) return rates;
  for (int i = 0; i < candidates; ++i) {
    double wins = 0;
    for (int j = 0; j < candidates; ++j) {
      if (j == i) continue;
      if (judgment.scores(i) > judgment.scores(j)) wins += 1;
      if (judgment.scores(i) == judgment.scores(j)) wins += 0.5;
    }
    rates[i] = wins / (candidates - 1);
  }
  return rates;
}

// Characters, not bytes, of UTF-8.
size_t Characters(const std::string& text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

std::vector<double> Penalized(absl::Span<const v1::Response> responses,
                              const v1::Judgment& judgment, double length_penalty) {
  std::vector<double> scores(judgment.scores().begin(), judgment.scores().end());
  if (length_penalty == 0) return scores;
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] -= length_penalty * static_cast<double>(Characters(responses[i].text()));
  }
  return scores;
}

// The higher score is chosen; of equal scores the first is named first.
Proposal InOrder(const Candidates& candidates, size_t a, size_t b) {
  if (a > b) std::swap(a, b);
  return candidates.score(b) > candidates.score(a) ? Proposal{b, a} : Proposal{a, b};
}

// The first with the highest value against the first with the lowest, in the order of their scores.
// All equal: the first two.
Proposal Extremes(const Candidates& candidates, const std::vector<double>& values) {
  const auto best = std::max_element(values.begin(), values.end()) - values.begin();
  const auto worst = std::min_element(values.begin(), values.end()) - values.begin();
  return best == worst ? InOrder(candidates, 0, 1) : InOrder(candidates, best, worst);
}

// The first of the highest penalized score.
size_t Best(const Candidates& candidates) {
  const std::vector<double>& scores = candidates.penalized;
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

// Of the others; the last of equal ones, as RLHFlow's sorting has it.
size_t SecondBest(const Candidates& candidates, size_t best) {
  size_t second = best == 0 ? 1 : 0;
  for (size_t i = second + 1; i < candidates.size(); ++i) {
    if (i != best && candidates.penalized[i] >= candidates.penalized[second]) second = i;
  }
  return second;
}

std::vector<Proposal> AllPairs(const Candidates& candidates) {
  std::vector<Proposal> proposals;
  for (size_t a = 0; a < candidates.size(); ++a) {
    for (size_t b = a + 1; b < candidates.size(); ++b) {
      proposals.push_back(InOrder(candidates, a, b));
    }
  }
  return proposals;
}

// A position other than `taken`, each as likely.
size_t RandomOther(const CounterRng& rng, uint64_t counter, size_t candidates, size_t taken) {
  const size_t drawn = rng.Below(counter, candidates - 1);
  return drawn < taken ? drawn : drawn + 1;
}

std::vector<Proposal> Propose(v1::PairingStrategy strategy, const Candidates& candidates,
                              const CounterRng& rng) {
  const size_t best = Best(candidates);
  switch (strategy) {
    case v1::PAIRING_STRATEGY_BEST_WORST:
      return {Extremes(candidates, candidates.penalized)};
    case v1::PAIRING_STRATEGY_WIN_RATE:
      return {Extremes(candidates, candidates.win_rates)};
    case v1::PAIRING_STRATEGY_LARGE_MARGIN:
    case v1::PAIRING_STRATEGY_ALL_PAIRS:
      return AllPairs(candidates);
    case v1::PAIRING_STRATEGY_MAX_MAX:
      return {InOrder(candidates, best, SecondBest(candidates, best))};
    case v1::PAIRING_STRATEGY_BEST_FIRST:
      return {InOrder(candidates, best, best == 0 ? 1 : 0)};
    case v1::PAIRING_STRATEGY_MAX_RANDOM:
      return {InOrder(candidates, best, RandomOther(rng, 0, candidates.size(), best))};
    case v1::PAIRING_STRATEGY_RANDOM: {
      const size_t one = rng.Below(0, candidates.size());
      return {InOrder(candidates, one, RandomOther(rng, 1, candidates.size(), one))};
    }
    case v1::PAIRING_STRATEGY_ONLINE:
      return {InOrder(candidates, 0, 1)};
    default:
      ATTUNE_CHECK(false);  // a resolved spec has a strategy
      return {};
  }
}

double Margin(const Candidates& candidates, const Proposal& proposal) {
  return candidates.score(proposal.chosen) - candidates.score(proposal.rejected);
}

bool SameTokens(const v1::Response& a, const v1::Response& b) {
  return std::equal(a.token_ids().begin(), a.token_ids().end(), b.token_ids().begin(),
                    b.token_ids().end());
}

enum class Verdict { kKeep, kEmpty, kDuplicate, kTie, kLowScore, kLowMargin };

double LeastMargin(const v1::PairingSpec& spec, const v1::Response& chosen) {
  const bool student = chosen.provenance() != v1::PROVENANCE_GOLD;
  return student && spec.has_min_margin_student() ? spec.min_margin_student() : spec.min_margin();
}

// Equal tokens come before equal scores, for which they are the reason.
Verdict Judge(const Candidates& candidates, const Proposal& proposal, const v1::PairingSpec& spec) {
  const v1::Response& chosen = candidates.responses[proposal.chosen];
  const v1::Response& rejected = candidates.responses[proposal.rejected];
  const double score = candidates.score(proposal.chosen);
  if (chosen.token_ids().empty() || rejected.token_ids().empty()) return Verdict::kEmpty;
  if (SameTokens(chosen, rejected)) return Verdict::kDuplicate;
  if (score == candidates.score(proposal.rejected) && spec.tie_policy() != v1::TIE_POLICY_FIRST) {
    return Verdict::kTie;
  }
  if (spec.has_min_chosen_score() && score < spec.min_chosen_score()) return Verdict::kLowScore;
  return Margin(candidates, proposal) < LeastMargin(spec, chosen) ? Verdict::kLowMargin
                                                                  : Verdict::kKeep;
}

// Drops what is no pair, puts the rest into order and cuts it off; counts all of it.
std::vector<Proposal> Filter(const Candidates& candidates, const v1::PairingSpec& spec,
                             const std::vector<Proposal>& proposals, v1::PairCounts* counts) {
  std::vector<Proposal> kept;
  for (const Proposal& proposal : proposals) {
    switch (Judge(candidates, proposal, spec)) {
      case Verdict::kKeep:
        kept.push_back(proposal);
        break;
      case Verdict::kEmpty:
        counts->set_empty(counts->empty() + 1);
        break;
      case Verdict::kDuplicate:
        counts->set_duplicate(counts->duplicate() + 1);
        break;
      case Verdict::kTie:
        counts->set_tie(counts->tie() + 1);
        break;
      case Verdict::kLowScore:
        counts->set_low_score(counts->low_score() + 1);
        break;
      case Verdict::kLowMargin:
        counts->set_low_margin(counts->low_margin() + 1);
        break;
    }
  }
  const auto key = [&](const Proposal& proposal) {
    return std::make_tuple(-Margin(candidates, proposal), proposal.chosen, proposal.rejected);
  };
  std::sort(kept.begin(), kept.end(),
            [&](const Proposal& a, const Proposal& b) { return key(a) < key(b); });
  const size_t limit = spec.max_pairs_per_prompt();
  if (kept.size() > limit) {
    counts->set_over_limit(counts->over_limit() + static_cast<uint32_t>(kept.size() - limit));
    kept.resize(limit);
  }
  counts->set_kept(counts->kept() + static_cast<uint32_t>(kept.size()));
  return kept;
}

v1::Pair MakePair(const PairingInput& input, const Candidates& candidates, const Proposal& proposal,
                  uint32_t index) {
  const double chosen_rate = candidates.win_rates[proposal.chosen];
  const double rejected_rate = candidates.win_rates[proposal.rejected];
  const bool soft = input.spec->pairing().target() == v1::PAIR_TARGET_WIN_RATE;
  v1::Pair pair;
  pair.set_name(absl::StrCat(input.job, "/rounds/", input.round, "/pairs/", index));
  pair.set_round(input.round);
  pair.set_index(index);
  pair.set_prompt_index(candidates.prompt->index());
  pair.set_prompt(candidates.prompt->text());
  *pair.mutable_chosen() = candidates.responses[proposal.chosen];
  *pair.mutable_rejected() = candidates.responses[proposal.rejected];
  pair.set_chosen_score(candidates.score(proposal.chosen));
  pair.set_rejected_score(candidates.score(proposal.rejected));
  pair.set_chosen_win_rate(chosen_rate);
  pair.set_rejected_win_rate(rejected_rate);
  pair.set_target(soft ? 1.0 / (1.0 + std::exp(rejected_rate - chosen_rate)) : 1.0);
  pair.set_oracle(candidates.judgment->oracle());
  pair.set_oracle_digest(candidates.judgment->oracle_digest());
  return pair;
}

// Little-endian, whatever the machine.
template <typename Integer>
void AppendInteger(std::string& bytes, Integer value) {
  for (size_t i = 0; i < sizeof(value); ++i) bytes.push_back(static_cast<char>(value >> (8 * i)));
}

void AppendDouble(std::string& bytes, double value) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  AppendInteger(bytes, bits);
}

void AddTokens(Sha256& sha, const google::protobuf::RepeatedField<uint32_t>& tokens) {
  std::string bytes;
  for (uint32_t token : tokens) AppendInteger(bytes, token);
  sha.UpdateField(bytes);
}

// What a pair teaches and why; the same under another job name, and whatever the version of
// protobuf writes.
void AddPair(Sha256& sha, const v1::Pair& pair) {
  std::string head;
  AppendInteger(head, pair.round());
  AppendInteger(head, pair.prompt_index());
  AppendDouble(head, pair.chosen_score());
  AppendDouble(head, pair.rejected_score());
  AppendDouble(head, pair.target());
  sha.UpdateField(head);
  AddTokens(sha, pair.chosen().prompt_token_ids());
  AddTokens(sha, pair.chosen().token_ids());
  AddTokens(sha, pair.rejected().token_ids());
}

// The candidates of each prompt, in the order of the round.
std::vector<Candidates> Group(const PairingInput& input) {
  ATTUNE_CHECK(input.judgments.size() == input.prompts.size());
  std::vector<Candidates> groups;
  size_t begin = 0;
  for (size_t i = 0; i < input.prompts.size(); ++i) {
    const uint32_t prompt_index = input.prompts[i].index();
    size_t end = begin;
    while (end < input.responses.size() && input.responses[end].prompt_index() == prompt_index) {
      ++end;
    }
    const v1::Judgment& judgment = input.judgments[i];
    ATTUNE_CHECK(judgment.prompt_index() == prompt_index);
    ATTUNE_CHECK(static_cast<size_t>(judgment.scores_size()) == end - begin);
    const auto responses = input.responses.subspan(begin, end - begin);
    groups.push_back({&input.prompts[i], responses, &judgment, WinRates(judgment),
                      Penalized(responses, judgment, input.spec->pairing().length_penalty())});
    begin = end;
  }
  ATTUNE_CHECK(begin == input.responses.size());
  return groups;
}

}  // namespace

PairingOutput BuildPairs(const PairingInput& input) {
  const v1::PairingSpec& spec = input.spec->pairing();
  PairingOutput output;
  Sha256 sha;
  for (const Candidates& candidates : Group(input)) {
    if (candidates.size() < 2) continue;
    const CounterRng rng({input.seed, kPairingDraw, input.round, candidates.prompt->index()});
    const std::vector<Proposal> proposals = Propose(spec.strategy(), candidates, rng);
    for (const Proposal& proposal : Filter(candidates, spec, proposals, &output.counts)) {
      const auto index = static_cast<uint32_t>(output.pairs.size());
      output.pairs.push_back(MakePair(input, candidates, proposal, index));
      AddPair(sha, output.pairs.back());
    }
  }
  output.digest = sha.HexDigest();
  return output;
}

}  // namespace attune
