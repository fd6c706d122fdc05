#include "coordinator/pairing_spec.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace attune {
namespace {

constexpr int kReplayedRoundsMax = 16;

// Strategies that look for the best, or for the worst, by score.
bool LooksForExtremes(v1::PairingStrategy strategy) {
  return strategy == v1::PAIRING_STRATEGY_BEST_WORST || strategy == v1::PAIRING_STRATEGY_MAX_MAX ||
         strategy == v1::PAIRING_STRATEGY_MAX_RANDOM || strategy == v1::PAIRING_STRATEGY_BEST_FIRST;
}

void CheckFields(const v1::PairingSpec& pairing, Block* block) {
  CheckEnum("strategy", pairing.strategy(), block);
  CheckEnum("tie_policy", pairing.tie_policy(), block);
  CheckEnum("target", pairing.target(), block);
  CheckEnum("win_rate", pairing.win_rate(), block);
  block->Range("min_margin", pairing.min_margin(), {0, 1e9});
  block->Range("min_margin_student", pairing.min_margin_student(), {0, 1e9});
  block->Range("min_chosen_score", pairing.min_chosen_score(), {-1e9, 1e9});
  block->Range("max_pairs_per_prompt", pairing.max_pairs_per_prompt(), {1, 4096});
  block->Range("defects.repeated_ngram", pairing.defects().repeated_ngram(), {0, 64});
  block->Range("defects.max_repeats", pairing.defects().max_repeats(), {1, 1000});
  block->Range("ches_percentile", pairing.ches_percentile(), {0, 100, End::kExcluded});
  const Limits ratios = {1, 1e6};
  if (pairing.max_length_ratio() != 0 && !IsWithin(pairing.max_length_ratio(), ratios)) {
    block->Add("max_length_ratio", absl::StrCat("is ", Number(pairing.max_length_ratio()),
                                                "; must be 0 (off) or ", Describe(ratios)));
  }
}

void CheckLengthPenalty(const v1::PairingSpec& pairing, Block* block) {
  if (pairing.length_penalty() > 0 && !LooksForExtremes(pairing.strategy())) {
    block->Add("length_penalty",
               absl::StrCat("is ", Number(pairing.length_penalty()),
                            "; must be 0 unless pairing.strategy is best_worst, max_max, "
                            "max_random or best_first"));
  } else {
    block->Range("length_penalty", pairing.length_penalty(), {0, 1e6});
  }
}

void CheckSources(const v1::PairingSpec& pairing, Block* block) {
  const auto& sources = pairing.sources();
  for (int i = 0; i < sources.size(); ++i) {
    if (sources[i] == 0 || !v1::PairSource_IsValid(sources[i])) {
      block->Add("sources", absl::StrCat("has ", sources[i], "; must be of ",
                                         absl::StrJoin(EnumNames<v1::PairSource>(), ", ")));
      continue;
    }
    const std::string name = EnumName(pairing.sources(i));
    if (std::find(sources.begin(), sources.begin() + i, sources[i]) != sources.begin() + i) {
      block->Add("sources", absl::StrCat("has ", name, " twice"));
    }
    if (sources[i] != v1::PAIR_SOURCE_STUDENT_STUDENT && !pairing.include_gold()) {
      block->Add("sources", absl::StrCat("has ", name, ", which needs include_gold: true"));
    }
  }
}

void CheckReplay(const v1::PairingSpec& pairing, Block* block) {
  if (pairing.replay_size() > kReplayedRoundsMax) {
    block->Add("replay", absl::StrCat("has ", pairing.replay_size(), " shares; at most ",
                                      kReplayedRoundsMax));
  }
  double sum = 0;
  for (double share : pairing.replay()) {
    const Limits shares = {0, 1, End::kIncluded, End::kExcluded};
    if (!IsWithin(share, shares)) {
      block->Add("replay", absl::StrCat("has ", Number(share), "; must be ", Describe(shares)));
      return;
    }
    sum += share;
  }
  if (sum >= 1) {
    block->Add("replay", absl::StrCat("has shares of ", Number(sum),
                                      " together; must be below 1, the rest is the round's own"));
  }
}

// Gold is chosen whatever the scores.
void CheckTeacherWins(const v1::PairingSpec& pairing, Block* block) {
  constexpr char kWhy[] = " for pairing.strategy teacher_wins, which goes by no scores";
  if (!pairing.include_gold()) {
    block->Add("include_gold", "is false; must be true for pairing.strategy teacher_wins");
  }
  if (pairing.min_margin() > 0) {
    block->Add("min_margin",
               absl::StrCat("is ", Number(pairing.min_margin()), "; must be 0", kWhy));
  }
  if (pairing.target() == v1::PAIR_TARGET_WIN_RATE || pairing.target() == v1::PAIR_TARGET_SCORE) {
    block->Add("target", absl::StrCat("is ", EnumName(pairing.target()), "; must be hard", kWhy));
  }
  const auto& sources = pairing.sources();
  if (!sources.empty() &&
      std::find(sources.begin(), sources.end(), v1::PAIR_SOURCE_GOLD_STUDENT) == sources.end()) {
    block->Add("sources",
               "must have gold_student for pairing.strategy teacher_wins, which makes "
               "no other pairs");
  }
}

void CheckGroup(const v1::PairingSpec& pairing, Block* block) {
  constexpr char kWhy[] = " for pairing.strategy group, whose lists are no pairs";
  if (pairing.tie_policy() == v1::TIE_POLICY_SOFT) {
    block->Add("tie_policy", absl::StrCat("is soft; must be drop or first", kWhy));
  }
  if (pairing.ches_percentile() < 100) {
    block->Add("ches_percentile",
               absl::StrCat("is ", Number(pairing.ches_percentile()), "; must be 100", kWhy));
  }
}

// What compares two candidates has no meaning where none are compared.
void CheckUnpaired(const v1::PairingSpec& pairing, Block* block) {
  constexpr char kWhy[] = " for pairing.strategy unpaired, which compares no responses";
  const auto off = [&](const char* field, double value, double must) {
    if (value == must) return;
    block->Add(field, absl::StrCat("is ", Number(value), "; must be ", Number(must), kWhy));
  };
  off("min_margin", pairing.min_margin(), 0);
  off("min_margin_student", pairing.min_margin_student(), 0);
  off("max_length_ratio", pairing.max_length_ratio(), 0);
  off("ches_percentile", pairing.ches_percentile(), 100);
  if (pairing.drop_same_text()) {
    block->Add("drop_same_text", absl::StrCat("is true; must be false", kWhy));
  }
  if (pairing.tie_policy() != v1::TIE_POLICY_DROP) {
    block->Add("tie_policy",
               absl::StrCat("is ", EnumName(pairing.tie_policy()), "; must be drop", kWhy));
  }
  if (pairing.target() != v1::PAIR_TARGET_HARD) {
    block->Add("target", absl::StrCat("is ", EnumName(pairing.target()), "; must be hard", kWhy));
  }
  if (!pairing.sources().empty()) {
    block->Add("sources", absl::StrCat("is given; must not be", kWhy));
  }
}

}  // namespace

void CheckPairing(const v1::JobSpec& spec, Violations* violations) {
  Block block("pairing.", violations);
  const v1::PairingSpec& pairing = spec.pairing();
  CheckFields(pairing, &block);
  CheckLengthPenalty(pairing, &block);
  CheckSources(pairing, &block);
  CheckReplay(pairing, &block);
  if (pairing.strategy() == v1::PAIRING_STRATEGY_TEACHER_WINS) CheckTeacherWins(pairing, &block);
  if (pairing.strategy() == v1::PAIRING_STRATEGY_GROUP) CheckGroup(pairing, &block);
  if (pairing.strategy() == v1::PAIRING_STRATEGY_UNPAIRED) CheckUnpaired(pairing, &block);
  if (pairing.strategy() == v1::PAIRING_STRATEGY_ONLINE && spec.sampling().num_generations() != 2) {
    Block("", violations)
        .Add("sampling.num_generations", absl::StrCat("is ", spec.sampling().num_generations(),
                                                      "; must be 2 for pairing.strategy online"));
  }
}

}  // namespace attune
