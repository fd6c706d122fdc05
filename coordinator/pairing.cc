#include "coordinator/pairing.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/rng.h"
#include "coordinator/objective_spec.h"
#include "coordinator/pairing_candidates.h"
#include "coordinator/pairing_filters.h"
#include "coordinator/pairing_rules.h"
#include "coordinator/pairing_unpaired.h"

namespace attune {
namespace {

constexpr uint64_t kPairingDraw = 0x70616972696e6731;  // "pairing1": which of a job's draws it is

// Whether a prompt has no gold response where a list or a loss wants it.
bool LacksGold(const v1::JobSpec& spec, const Candidates& candidates) {
  const size_t gold = spec.pairing().include_gold() ? 1 : 0;
  const size_t given = static_cast<size_t>(candidates.prompt->given_size());
  const bool wanted =
      spec.pairing().strategy() == v1::PAIRING_STRATEGY_GROUP || NeedsOf(spec.objective()).gold;
  return wanted && candidates.size() != spec.sampling().num_generations() + given + gold;
}

// Before the round as a whole is looked at.
std::vector<Selected> SelectPairs(const PairingInput& input, const std::vector<Candidates>& groups,
                                  v1::PairCounts* counts) {
  const v1::PairingSpec& spec = input.spec->pairing();
  if (spec.strategy() == v1::PAIRING_STRATEGY_UNPAIRED) {
    return SelectUnpaired(input, groups, counts);
  }
  std::vector<Selected> selected;
  for (const Candidates& candidates : groups) {
    if (LacksGold(*input.spec, candidates)) {
      counts->set_empty(counts->empty() + 1);
      continue;
    }
    if (candidates.size() < 2) continue;
    const CounterRng rng({input.seed, kPairingDraw, input.round, candidates.prompt->index()});
    const std::vector<Proposal> proposals = Propose(spec.strategy(), candidates, rng);
    for (Proposal& proposal : FilterProposals(spec, candidates, proposals, counts)) {
      selected.push_back({&candidates, std::move(proposal)});
    }
  }
  return selected;
}

double Target(const v1::PairingSpec& spec, const Selected& pair) {
  const Candidates& candidates = *pair.candidates;
  const auto& [chosen, rejected, others] = pair.proposal;
  if (spec.strategy() == v1::PAIRING_STRATEGY_TEACHER_WINS ||
      spec.strategy() == v1::PAIRING_STRATEGY_UNPAIRED) {
    return 1;
  }
  if (IsSoftTie(spec, candidates, pair.proposal)) return 0.5;
  switch (spec.target()) {
    case v1::PAIR_TARGET_WIN_RATE:
      return Sigmoid(candidates.win_rates[chosen] - candidates.win_rates[rejected]);
    case v1::PAIR_TARGET_SCORE:
      return Sigmoid(candidates.Gap(chosen, rejected));
    case v1::PAIR_TARGET_PREFERENCE:
      if (candidates.by_preference) return candidates.Preference(chosen, rejected);
      return candidates.Ties(chosen, rejected) ? 0.5 : 1;
    default:
      return 1;
  }
}

// Without what only pairing looks at, which is large.
v1::Response StoredResponse(const Candidates& candidates, size_t position) {
  v1::Response response = candidates.responses[position];
  response.clear_hidden_sum();
  return response;
}

v1::RankedResponse Ranked(const Candidates& candidates, size_t position) {
  v1::RankedResponse ranked;
  *ranked.mutable_response() = StoredResponse(candidates, position);
  ranked.set_score(candidates.scores[position]);
  ranked.set_win_rate(candidates.win_rates[position]);
  return ranked;
}

v1::Pair MakePair(const PairingInput& input, const Selected& selected, uint32_t index) {
  const Candidates& candidates = *selected.candidates;
  const Candidates& of_rejected = selected.RejectedCandidates();
  const auto& [chosen, rejected, others] = selected.proposal;
  v1::Pair pair;
  pair.set_name(absl::StrCat(input.job, "/rounds/", input.round, "/pairs/", index));
  pair.set_round(input.round);
  pair.set_index(index);
  pair.set_prompt_index(candidates.prompt->index());
  pair.set_prompt(candidates.prompt->text());
  *pair.mutable_chosen() = StoredResponse(candidates, chosen);
  *pair.mutable_rejected() = StoredResponse(of_rejected, rejected);
  pair.set_chosen_score(candidates.scores[chosen]);
  pair.set_rejected_score(of_rejected.scores[rejected]);
  pair.set_chosen_win_rate(candidates.win_rates[chosen]);
  pair.set_rejected_win_rate(of_rejected.win_rates[rejected]);
  pair.set_target(Target(input.spec->pairing(), selected));
  pair.set_oracle(candidates.judgment->oracle());
  pair.set_oracle_digest(candidates.judgment->oracle_digest());
  for (size_t other : others) *pair.add_others() = Ranked(candidates, other);
  if (NeedsOf(input.spec->objective()).gold) {  // it comes last
    *pair.add_others() = Ranked(candidates, candidates.size() - 1);
  }
  pair.set_chosen_margin(candidates.margins[chosen]);
  pair.set_rejected_margin(of_rejected.margins[rejected]);
  if (!candidates.preferences.empty() && selected.of_rejected == nullptr) {
    pair.set_preference(candidates.preferences[chosen * candidates.size() + rejected]);
  }
  const v1::Response& chosen_response = candidates.responses[chosen];
  const v1::Response& rejected_response = of_rejected.responses[rejected];
  // Of two prompts likeness says nothing about displacement.
  if (selected.of_rejected == nullptr && !chosen_response.hidden_sum().empty() &&
      !rejected_response.hidden_sum().empty()) {
    pair.set_ches(PairChes(chosen_response, rejected_response));
  }
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

// Nothing for a pair without margins, whose digest is older than they are.
void AddMargins(Sha256& sha, const v1::Pair& pair) {
  if (pair.chosen_margin() == 0 && pair.rejected_margin() == 0) return;
  std::string margins = "margins";
  AppendDouble(margins, pair.chosen_margin());
  AppendDouble(margins, pair.rejected_margin());
  sha.UpdateField(margins);
}

// Nothing for a pair that is no list, likewise.
void AddOthers(Sha256& sha, const v1::Pair& pair) {
  if (pair.others().empty()) return;
  std::string head = "others";
  AppendInteger(head, static_cast<uint32_t>(pair.others_size()));
  AppendDouble(head, pair.chosen_win_rate());
  AppendDouble(head, pair.rejected_win_rate());
  sha.UpdateField(head);
  for (const v1::RankedResponse& other : pair.others()) {
    std::string ranked;
    AppendDouble(ranked, other.score());
    AppendDouble(ranked, other.win_rate());
    sha.UpdateField(ranked);
    AddTokens(sha, other.response().token_ids());
  }
}

// Nothing for a pair of one prompt, likewise.
void AddRejectedPrompt(Sha256& sha, const v1::Pair& pair) {
  if (pair.rejected().prompt_index() == pair.prompt_index()) return;
  std::string head = "rejected";
  AppendInteger(head, pair.rejected().prompt_index());
  sha.UpdateField(head);
  AddTokens(sha, pair.rejected().prompt_token_ids());
}

// What a pair teaches and why; the same under another job name, and whatever the version of
// protobuf writes. No two lists of pairs give the same bytes: heads have 32 of them, the fields
// that may follow begin with a word and have other lengths.
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
  AddMargins(sha, pair);
  AddOthers(sha, pair);
  AddRejectedPrompt(sha, pair);
}

}  // namespace

PairingOutput BuildPairs(const PairingInput& input) {
  const v1::PairingSpec& spec = input.spec->pairing();
  const std::vector<Candidates> groups = GroupByPrompt(input);
  PairingOutput output;
  const std::vector<Selected> selected =
      KeepLowestChes(spec, SelectPairs(input, groups, &output.counts), &output.counts);
  Sha256 sha;
  for (const Selected& pair : selected) {
    CountKept(spec, pair, &output.counts);
    output.pairs.push_back(MakePair(input, pair, static_cast<uint32_t>(output.pairs.size())));
    AddPair(sha, output.pairs.back());
  }
  output.digest = sha.HexDigest();
  return output;
}

}  // namespace attune
