// Time of drawing a token, after checking that it is one that the options allow.
//
//   sampler_bench
//
// Logits of three kinds: those of a language model have a few likely tokens and a long tail (here:
// Zipf's law, with noise); peaked ones have nearly all probability on a few tokens; flat ones keep
// most of the vocabulary likely. Time is that of the processor, of one thread.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/measure.h"
#include "common/rng.h"
#include "model/sampler.h"
#include "tests/unit/model/sampler_reference.h"

namespace attune {
namespace {

constexpr int kRuns = 9;
constexpr int kDraws = 200;  // a run
constexpr int kRows = 8;     // of logits, taken in turns

struct Kind {
  const char* name;
  double slope;  // of the logit over the logarithm of the rank
  double noise;  // standard deviation
};
constexpr Kind kKinds[] = {{"ordinary", 1.2, 1}, {"peaked", 4, 1}, {"flat", 0, 0.5}};

struct Setting {
  const char* name;
  SamplingOptions options;
};
const Setting kSettings[] = {{"temperature 1", {}},
                             {"top_p 0.9", {.top_p = 0.9}},
                             {"top_k 50", {.top_k = 50}},
                             {"min_p 0.05", {.min_p = 0.05}},
                             {"top_k 50, top_p 0.9", {.top_p = 0.9, .top_k = 50}},
                             {"repetition_penalty 1.1", {.repetition_penalty = 1.1}},
                             {"greedy", {.temperature = 0}}};

std::vector<float> Logits(const Kind& kind, int32_t vocabulary, uint64_t seed) {
  const CounterRng rng({seed});
  const std::vector<uint32_t> ranks = Permutation(rng, static_cast<uint32_t>(vocabulary));
  std::vector<float> logits(ranks.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    double normal = -6;  // Irwin-Hall
    for (uint64_t i = 0; i < 12; ++i) normal += rng.Uniform((id + 1) * 100'000 + i);
    logits[id] = static_cast<float>(-kind.slope * std::log(ranks[id] + 1.0) + kind.noise * normal);
  }
  return logits;
}

absl::Status Check(const std::vector<float>& logits, const Setting& setting,
                   const SamplingContext& context, Sampler* sampler) {
  if (setting.options.temperature == 0) return absl::OkStatus();
  const std::vector<double> p = ReferenceDistribution(logits, setting.options, context);
  for (int i = 0; i < 100; ++i) {
    const Draw draw = sampler->Next(logits, (i + 0.5) / 100, setting.options, context);
    if (std::abs(std::log(p[draw.token]) - draw.sampling_logp) < 1e-4) continue;
    return absl::InternalError(absl::StrCat(setting.name, ": token ", draw.token,
                                            " has probability ", p[draw.token], ", but exp(",
                                            draw.sampling_logp, ") is recorded"));
  }
  return absl::OkStatus();
}

double Microseconds(const std::vector<std::vector<float>>& rows, const SamplingOptions& options,
                    const SamplingContext& context, Sampler* sampler) {
  std::vector<double> runs;
  int64_t tokens = 0;
  for (int run = 0; run < kRuns; ++run) {
    const CounterRng rng({static_cast<uint64_t>(run)});
    const double start = ProcessorSeconds();
    for (uint64_t draw = 0; draw < kDraws; ++draw) {
      tokens += sampler->Next(rows[draw % kRows], rng.Uniform(draw), options, context).token;
    }
    runs.push_back((ProcessorSeconds() - start) / kDraws * 1e6);
  }
  return tokens < 0 ? 0 : Median(runs);
}

absl::Status Run() {
  std::printf("%-10s %-9s %-24s %10s %8s\n", "vocabulary", "logits", "options", "us a draw",
              "kept");
  Sampler sampler;
  for (const int32_t vocabulary : {32000, 152000}) {
    for (const Kind& kind : kKinds) {
      std::vector<std::vector<float>> rows;
      for (uint64_t i = 0; i < kRows; ++i) rows.push_back(Logits(kind, vocabulary, i));
      std::vector<int32_t> prompt(512);
      for (uint64_t i = 0; i < prompt.size(); ++i) {
        prompt[i] = static_cast<int32_t>(CounterRng({7}).Below(i, vocabulary));
      }
      for (const Setting& setting : kSettings) {
        const SamplingContext context = {prompt, {}, {}};
        const absl::Status status = Check(rows[0], setting, context, &sampler);
        if (!status.ok()) return status;
        int64_t kept = 1;
        if (setting.options.temperature > 0) {
          kept = 0;
          for (double p : ReferenceDistribution(rows[0], setting.options, context)) kept += p > 0;
        }
        std::printf("%-10d %-9s %-24s %10.1f %8lld\n", vocabulary, kind.name, setting.name,
                    Microseconds(rows, setting.options, context, &sampler),
                    static_cast<long long>(kept));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace attune

int main() {
#ifndef __OPTIMIZE__
  std::fprintf(stderr, "sampler_bench: built without optimisation; do not quote these figures\n");
#endif
  const absl::Status status = attune::Run();
  if (!status.ok())
    std::fprintf(stderr, "sampler_bench: %s\n", std::string(status.message()).c_str());
  return status.ok() ? 0 : 1;
}
