#include "common/text_diversity.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace attune {
namespace {

constexpr size_t kBleuOrder = 4;

using Words = std::vector<absl::string_view>;
using Counts = std::map<absl::Span<const absl::string_view>, size_t>;

Words SplitWords(absl::string_view text) {
  return absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
}

Counts CountNgrams(const Words& words, size_t n) {
  Counts counts;
  for (size_t i = 0; i + n <= words.size(); ++i) {
    ++counts[absl::MakeConstSpan(words).subspan(i, n)];
  }
  return counts;
}

struct Text {
  Words words;
  std::vector<Counts> ngrams;  // of n + 1 words
};

// For each n-gram of `text` how often it is found in one of the others at most: the sum of what is
// matched, by the number of n-grams.
double Precision(const std::vector<Text>& texts, size_t text, size_t n) {
  size_t matched = 0, all = 0;
  for (const auto& [ngram, count] : texts[text].ngrams[n]) {
    size_t most = 0;
    for (size_t other = 0; other < texts.size(); ++other) {
      if (other == text) continue;
      const auto found = texts[other].ngrams[n].find(ngram);
      if (found != texts[other].ngrams[n].end()) most = std::max(most, found->second);
    }
    matched += std::min(count, most);
    all += count;
  }
  return std::max(static_cast<double>(matched), 0.5) / static_cast<double>(all);
}

double BrevityPenalty(const std::vector<Text>& texts, size_t text) {
  const auto length = static_cast<double>(texts[text].words.size());
  std::pair<double, double> nearest = {INFINITY, 0};  // distance, length
  for (size_t other = 0; other < texts.size(); ++other) {
    if (other == text) continue;
    const auto reference = static_cast<double>(texts[other].words.size());
    nearest = std::min(nearest, {std::abs(reference - length), reference});
  }
  return length >= nearest.second ? 1 : std::exp(1 - nearest.second / length);
}

}  // namespace

double DistinctNgrams(absl::Span<const std::string> texts, size_t n) {
  std::vector<Words> words;  // which the n-grams point into
  for (const std::string& text : texts) words.push_back(SplitWords(text));
  std::set<absl::Span<const absl::string_view>> distinct;
  size_t total = 0;
  for (const Words& text : words) {
    for (size_t i = 0; i + n <= text.size(); ++i) {
      distinct.insert(absl::MakeConstSpan(text).subspan(i, n));
      ++total;
    }
  }
  return total == 0 ? 0 : static_cast<double>(distinct.size()) / static_cast<double>(total);
}

double SelfBleu(absl::Span<const std::string> inputs) {
  std::vector<Text> texts;
  for (const std::string& input : inputs) {
    Text text{SplitWords(input), {}};
    if (text.words.empty()) continue;
    for (size_t n = 1; n <= kBleuOrder; ++n) text.ngrams.push_back(CountNgrams(text.words, n));
    texts.push_back(std::move(text));  // spans stay: a moved vector keeps its elements
  }
  if (texts.size() < 2) return 0;
  double sum = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const size_t orders = std::min(kBleuOrder, texts[i].words.size());
    double logs = 0;
    for (size_t n = 0; n < orders; ++n) logs += std::log(Precision(texts, i, n));
    sum += BrevityPenalty(texts, i) * std::exp(logs / static_cast<double>(orders));
  }
  return sum / static_cast<double>(texts.size());
}

}  // namespace attune
