#include "coordinator/curriculum.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_split.h"
#include "common/check.h"
#include "common/digest.h"
#include "common/rng.h"
#include "coordinator/dataset.h"

namespace attune {
namespace {

constexpr uint64_t kDomainDraw = 0x646f6d61696e7331;  // "domains1"

using DomainPrompts = std::map<std::string, std::vector<uint32_t>>;
using Weights = std::map<std::string, double>;

// Prompts that are not held out, by domain, in index order.
DomainPrompts TrainingPrompts(const v1::JobSpec& spec, const Dataset& dataset) {
  const auto size = static_cast<uint32_t>(dataset.prompts.size());
  const std::vector<uint32_t> holdout =
      HoldoutPrompts(size, spec.seed(), spec.evaluation().holdout_prompts());
  DomainPrompts domains;
  for (uint32_t prompt = 0; prompt < size; ++prompt) {
    if (std::binary_search(holdout.begin(), holdout.end(), prompt)) continue;
    domains[dataset.prompts[prompt].domain()].push_back(prompt);
  }
  return domains;
}

Weights DomainWeights(const v1::JobSpec& spec, const Dataset& dataset,
                      const DomainPrompts& domains, uint32_t round,
                      absl::Span<const v1::RoundRecord> earlier) {
  Weights weights;
  if (spec.curriculum().mixing() == v1::DOMAIN_MIXING_SEQUENTIAL) {
    weights[DomainOfRound(spec, dataset, round).domain] = 1;
    return weights;
  }
  if (spec.curriculum().mixing() == v1::DOMAIN_MIXING_FIXED) {
    for (const v1::DomainWeightSpec& entry : spec.curriculum().domain_weights()) {
      weights[entry.domain()] = entry.weight();
    }
  } else if (spec.curriculum().mixing() == v1::DOMAIN_MIXING_GAIN) {
    std::vector<std::string> names;
    for (const auto& [name, prompts] : domains) names.push_back(name);
    std::vector<Weights> scores;
    for (const v1::RoundRecord& record : earlier) {
      if (record.evaluation().domains().empty()) continue;
      Weights& of_round = scores.emplace_back();
      for (const v1::DomainScore& domain : record.evaluation().domains()) {
        of_round[domain.domain()] = domain.mean_score();
      }
    }
    weights = WeightsByGain(scores, names);
  } else {
    for (const auto& [name, prompts] : domains) weights[name] = static_cast<double>(prompts.size());
  }
  return weights;
}

// `total` shared out by weight: largest remainders, in order of name among equals.
std::map<std::string, uint32_t> ShareOut(const Weights& weights, uint32_t total) {
  double sum = 0;
  for (const auto& [name, weight] : weights) sum += weight;
  std::map<std::string, uint32_t> counts;
  std::vector<std::pair<double, std::string>> remainders;
  uint32_t given = 0;
  for (const auto& [name, weight] : weights) {
    const double share = sum > 0 ? total * weight / sum : 0;
    counts[name] = static_cast<uint32_t>(share);
    given += counts[name];
    remainders.emplace_back(counts[name] - share, name);
  }
  std::sort(remainders.begin(), remainders.end());
  for (size_t i = 0; i < remainders.size() && given < total; ++i, ++given) {
    ++counts[remainders[i].second];
  }
  return counts;
}

// The spread of each prompt when it was judged last.
std::map<uint32_t, double> LastSpreads(absl::Span<const v1::RoundRecord> earlier) {
  std::map<uint32_t, double> spreads;
  for (const v1::RoundRecord& record : earlier) {
    for (int i = 0; i < record.spreads_size(); ++i) {
      if (record.spreads(i) >= 0) spreads[record.prompt_indices(i)] = record.spreads(i);
    }
  }
  return spreads;
}

// How many prompts of each domain earlier rounds have taken.
std::map<std::string, uint64_t> TakenByDomain(const Dataset& dataset,
                                              absl::Span<const v1::RoundRecord> earlier) {
  std::map<std::string, uint64_t> taken;
  for (const v1::RoundRecord& record : earlier) {
    for (uint32_t prompt : record.prompt_indices()) ++taken[dataset.prompts[prompt].domain()];
  }
  return taken;
}

// `count` of a domain's eligible prompts, from position `begin` of its repeated shuffle.
std::vector<uint32_t> TakeFrom(const std::vector<uint32_t>& prompts, uint64_t seed,
                               const std::string& domain, uint64_t begin, size_t count) {
  std::vector<uint32_t> taken;
  std::set<uint32_t> seen;
  const uint64_t size = prompts.size();
  uint64_t pass = 0;
  std::vector<uint32_t> order;
  for (uint64_t i = begin; taken.size() < std::min<uint64_t>(count, size); ++i) {
    if (order.empty() || i / size != pass) {
      pass = i / size;
      order = Permutation(CounterRng({seed, kDomainDraw, Crc32c(domain), pass}),
                          static_cast<uint32_t>(size));
    }
    const uint32_t prompt = prompts[order[i % size]];
    if (seen.insert(prompt).second) taken.push_back(prompt);
  }
  return taken;
}

std::vector<uint32_t> DrawByDomain(const v1::JobSpec& spec, const Dataset& dataset, uint32_t round,
                                   absl::Span<const v1::RoundRecord> earlier) {
  const v1::CurriculumSpec& curriculum = spec.curriculum();
  DomainPrompts domains = TrainingPrompts(spec, dataset);
  const auto counts =
      ShareOut(DomainWeights(spec, dataset, domains, round, earlier), spec.prompts_per_round());
  const std::map<uint32_t, double> spreads = LastSpreads(earlier);
  const auto outside = [&](uint32_t prompt) {
    const auto spread = spreads.find(prompt);
    if (spread == spreads.end()) return false;
    return spread->second < curriculum.band_low() ||
           (curriculum.has_band_high() && spread->second > curriculum.band_high());
  };
  auto taken = TakenByDomain(dataset, earlier);
  std::vector<uint32_t> drawn;
  for (auto& [name, prompts] : domains) {
    prompts.erase(std::remove_if(prompts.begin(), prompts.end(), outside), prompts.end());
    const auto count = counts.find(name);
    if (count == counts.end()) continue;
    for (uint32_t prompt : TakeFrom(prompts, spec.seed(), name, taken[name], count->second)) {
      drawn.push_back(prompt);
    }
  }
  return drawn;
}

std::set<std::pair<std::string, std::string>> Bigrams(const std::string& text) {
  const std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  std::set<std::pair<std::string, std::string>> bigrams;
  for (size_t i = 1; i < words.size(); ++i) bigrams.emplace(words[i - 1], words[i]);
  return bigrams;
}

}  // namespace

bool HasBand(const v1::CurriculumSpec& curriculum) {
  return curriculum.band_low() > 0 || curriculum.has_band_high();
}

std::vector<uint32_t> DrawPrompts(const v1::JobSpec& spec, const Dataset& dataset, uint32_t round,
                                  absl::Span<const v1::RoundRecord> earlier,
                                  absl::Span<const uint32_t> retry) {
  std::vector<uint32_t> drawn;
  const v1::DomainMixing mixing = spec.curriculum().mixing();
  if (mixing == v1::DOMAIN_MIXING_FIXED || mixing == v1::DOMAIN_MIXING_GAIN ||
      mixing == v1::DOMAIN_MIXING_SEQUENTIAL || HasBand(spec.curriculum())) {
    drawn = DrawByDomain(spec, dataset, round, earlier);
  } else {
    drawn = RoundPrompts(static_cast<uint32_t>(dataset.prompts.size()), spec.seed(),
                         spec.evaluation().holdout_prompts(), round, spec.prompts_per_round());
  }
  std::set<uint32_t> known(drawn.begin(), drawn.end());
  for (uint32_t prompt : retry) {
    if (known.insert(prompt).second) drawn.push_back(prompt);
  }
  return drawn;
}

std::vector<std::string> DomainOrder(const v1::JobSpec& spec, const Dataset& dataset) {
  DomainPrompts left = TrainingPrompts(spec, dataset);
  std::vector<std::string> order;
  for (const v1::Prompt& prompt : dataset.prompts) {
    if (left.erase(prompt.domain()) > 0) order.push_back(prompt.domain());
  }
  return order;
}

DomainRound DomainOfRound(const v1::JobSpec& spec, const Dataset& dataset, uint32_t round) {
  const std::vector<std::string> order = DomainOrder(spec, dataset);
  const auto domains = static_cast<uint32_t>(order.size());
  ATTUNE_CHECK(domains > 0 && spec.rounds() >= domains && round >= 1 && round <= spec.rounds());
  uint32_t last = 0;  // round of the domain
  for (uint32_t domain = 0;; ++domain) {
    last += spec.rounds() / domains + (domain < spec.rounds() % domains ? 1 : 0);
    if (round <= last) return {order[domain], round == last};
  }
}

Weights WeightsByGain(absl::Span<const Weights> scores, const std::vector<std::string>& domains) {
  const double uniform = 1.0 / static_cast<double>(domains.size());
  Weights weights;
  for (const std::string& domain : domains) weights[domain] = uniform;
  if (scores.size() < 2) return weights;
  const Weights& now = scores[scores.size() - 1];
  const Weights& before = scores[scores.size() - 2];
  Weights gains;
  double scale = 0, sum = 0;
  for (const std::string& domain : domains) {
    const auto a = now.find(domain), b = before.find(domain);
    gains[domain] = a == now.end() || b == before.end() ? 0 : a->second - b->second;
    scale = std::max(scale, std::abs(gains[domain]));
  }
  if (scale == 0) return weights;
  for (auto& [domain, gain] : gains) sum += gain = std::exp(gain / scale);
  for (auto& [domain, weight] : weights) weight = 0.5 * uniform + 0.5 * gains[domain] / sum;
  return weights;
}

double Disagreement(absl::Span<const std::string> texts) {
  std::vector<std::set<std::pair<std::string, std::string>>> bigrams;
  for (const std::string& text : texts) bigrams.push_back(Bigrams(text));
  double sum = 0;
  size_t pairs = 0;
  for (size_t i = 0; i < bigrams.size(); ++i) {
    for (size_t j = i + 1; j < bigrams.size(); ++j, ++pairs) {
      const auto common = std::count_if(bigrams[i].begin(), bigrams[i].end(),
                                        [&](const auto& b) { return bigrams[j].count(b) > 0; });
      const size_t all = bigrams[i].size() + bigrams[j].size() - static_cast<size_t>(common);
      sum += all == 0 ? 0 : 1 - static_cast<double>(common) / static_cast<double>(all);
    }
  }
  return pairs == 0 ? 0 : sum / static_cast<double>(pairs);
}

std::vector<size_t> PromptsToJudge(absl::Span<const v1::Response> responses, double share) {
  std::vector<std::vector<std::string>> texts;  // by prompt
  for (size_t i = 0; i < responses.size(); ++i) {
    if (i == 0 || responses[i].prompt_index() != responses[i - 1].prompt_index()) {
      texts.emplace_back();
    }
    texts.back().push_back(responses[i].text());
  }
  std::vector<double> disagreement;
  for (const std::vector<std::string>& of_prompt : texts) {
    disagreement.push_back(share < 1 ? Disagreement(of_prompt) : 0);  // all, in their order
  }
  std::vector<size_t> order(texts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return disagreement[a] > disagreement[b]; });
  order.resize(static_cast<size_t>(std::ceil(share * static_cast<double>(texts.size()))));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<double> Spreads(absl::Span<const v1::Judgment> judgments) {
  std::vector<double> spreads;
  for (const v1::Judgment& judgment : judgments) {
    const auto [low, high] =
        std::minmax_element(judgment.scores().begin(), judgment.scores().end());
    spreads.push_back(judgment.scores().empty() ? -1 : *high - *low);
  }
  return spreads;
}

}  // namespace attune
