// rollout_bench: how fast the engine samples. First it checks that responses do not depend on their
// batch and that their log-probabilities are the scorer's; then it measures. One JSON line each.
#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "bench/measure.h"
#include "common/clock.h"
#include "common/process.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/engine.h"
#include "model/generator.h"
#include "model/kernels.h"
#include "model/scorer.h"
#include "model/weight_files.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

struct Flags {
  std::vector<std::string> models;
  std::vector<std::string> precisions = {"fp32", "bf16"};
  std::vector<int64_t> sequences = {1, 8, 32, 64};
  int64_t prompt = 32;
  int64_t new_tokens = 128;
  int threads = ProcessorCount();
  int repetitions = 3;
  bool load = false;
};

constexpr int64_t kCacheBytes = int64_t{16} << 30;

// Words of their own for every prompt, and no end of sequence.
std::vector<int32_t> PromptOf(const Policy& policy, uint64_t number, int64_t length) {
  const CounterRng rng({number});
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length; ++i) {
    ids.push_back(
        static_cast<int32_t>(rng.Uniform(i) * static_cast<double>(policy.config().vocab_size - 1)));
  }
  return ids;
}

EngineRequest RequestOf(std::shared_ptr<const Policy> policy, uint64_t number, int64_t prompt,
                        int64_t new_tokens, size_t samples = 1) {
  EngineRequest request;
  request.prompt_ids = PromptOf(*policy, number, prompt);
  request.policy = std::move(policy);
  for (size_t i = 0; i < samples; ++i) request.sample_keys.push_back(number * 1000 + i);
  request.options.max_new_tokens = new_tokens;
  request.on_done = [](size_t, absl::StatusOr<Generation>) {};
  return request;
}

absl::StatusOr<std::shared_ptr<const Policy>> Load(const std::string& directory,
                                                   const std::string& precision) {
  ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(directory));
  ATTUNE_ASSIGN_OR_RETURN(const WeightFiles files, WeightFiles::Open(directory, config));
  config.eos_token_ids.clear();  // made-up weights would end responses anywhere
  auto policy = Policy::Read(std::move(config), files,
                             precision == "bf16" ? TensorType::kBf16 : TensorType::kF32);
  return precision == "int8" ? policy->Quantized() : policy;
}

absl::Status Check(const std::shared_ptr<const Policy>& policy, int threads) {
  constexpr int kPrompts = 5;
  const EngineOptions options = {.threads = threads, .rows_max = 40, .cache_bytes = kCacheBytes};
  Engine engine(options);
  std::vector<Generation> together(kPrompts);
  for (int i = 0; i < kPrompts; ++i) {
    EngineRequest request = RequestOf(policy, i, 20 + 7 * i, 12);
    request.on_done = [&together, i](size_t, absl::StatusOr<Generation> one) {
      together[i] = *std::move(one);
    };
    engine.Add(i, std::move(request));
  }
  while (!engine.idle()) engine.Step();
  for (int i = 0; i < kPrompts; ++i) {
    const EngineRequest request = RequestOf(policy, i, 20 + 7 * i, 12);
    ATTUNE_ASSIGN_OR_RETURN(
        const auto alone,
        Generate(*policy, {{request.prompt_ids, request.sample_keys}}, request.options));
    if (!(alone[0][0] == together[i])) return absl::InternalError("a batch changes a response");
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> logps,
                            CompletionLogProbs(*policy, request.prompt_ids, together[i].token_ids));
    if (logps != together[i].logps) return absl::InternalError("the scorer disagrees");
  }
  return absl::OkStatus();
}

void Print(const nlohmann::json& line) { std::printf("%s\n", line.dump().c_str()), fflush(stdout); }

// GFLOP/s of the packed product of 64 rows that an MLP of the model has, on all threads.
double MatrixPeak(const Policy& policy, int threads) {
  const bool bf16 = policy.kv_layout().bf16;
  constexpr int64_t kRows = 64;
  const int64_t k = policy.config().hidden_size, n = policy.config().intermediate_size;
  const std::vector<float> weights(n * k, 0.5f), x(kRows * k, 0.25f);
  std::vector<float> y(kRows * n);
  const PackedMatrix w(ViewOf(weights.data()), {n, k, k, 1},
                       bf16 ? TensorType::kBf16 : TensorType::kF32,
                       bf16 ? Products::kBf16 : Products::kFp32);
  std::vector<uint32_t> pairs(kRows * w.pairs());
  RoundPairs(x.data(), kRows, k, pairs.data());
  const void* const input = bf16 ? static_cast<const void*>(pairs.data()) : x.data();
  ThreadTeam team(threads);
  std::vector<double> rates;
  for (int i = 0; i < 9; ++i) {
    constexpr int kProducts = 40;
    const Stopwatch watch;
    team.Run(int64_t{threads} * kProducts, [&](int64_t piece) {
      const int64_t part = piece % threads;
      MatMulPanels(input, kRows, w,
                   {w.panel_count() * part / threads, w.panel_count() * (part + 1) / threads},
                   y.data());
    });
    rates.push_back(2e-9 * kRows * k * n * kProducts / watch.Seconds());
  }
  return Median(rates);
}

int64_t MatrixParameters(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  return config.num_layers * (hidden * (2 * config.q_size() + 2 * config.kv_size()) +
                              3 * hidden * config.intermediate_size) +
         hidden * config.vocab_size;
}

nlohmann::json Measured(const std::string& name, std::vector<double> values) {
  return {{"name", name},
          {"value", Median(values)},
          {"unit", "tokens/s"},
          {"repetitions", values.size()},
          {"min", *std::min_element(values.begin(), values.end())},
          {"max", *std::max_element(values.begin(), values.end())}};
}

// Prefill and decoding of `sequences` of equal shape.
void MeasureRectangle(const std::shared_ptr<const Policy>& policy, const Flags& flags,
                      int64_t sequences, const nlohmann::json& labels) {
  std::vector<double> prefill, decode, peaks;
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    peaks.push_back(MatrixPeak(*policy, flags.threads));
    Engine engine(
        {.threads = flags.threads, .sequences_max = sequences, .cache_bytes = kCacheBytes});
    for (int64_t i = 0; i < sequences; ++i) {
      engine.Add(i, RequestOf(policy, i, flags.prompt, flags.new_tokens));
    }
    const Stopwatch reading;
    int64_t decoded_before = 0;
    // The last token of a prompt may run alone, as those that are drawn do.
    const int64_t nearly_all = sequences * (flags.prompt - 1);
    while (!engine.idle() && engine.counters().prefill_tokens < nearly_all) engine.Step();
    decoded_before = engine.counters().decode_tokens;
    prefill.push_back(static_cast<double>(sequences * flags.prompt) / reading.Seconds());
    const Stopwatch decoding;
    while (!engine.idle()) engine.Step();
    decode.push_back(static_cast<double>(engine.counters().decode_tokens - decoded_before) /
                     decoding.Seconds());
  }
  nlohmann::json line = Measured("rollout/decode", decode);
  line.update(labels);
  line["sequences"] = sequences;
  const double peak = Median(peaks);
  line["matrix_peak_gflops"] = peak;
  line["peak_share"] = line["value"].get<double>() * 2e-9 *
                       static_cast<double>(MatrixParameters(policy->config())) / peak;
  Print(line);
  line = Measured("rollout/prefill", prefill);
  line.update(labels);
  line["sequences"] = sequences;
  Print(line);
}

// 200 prompts of several lengths with 5 samples each, of uniformly distributed lengths, against a
// batch of one length. That is the one with which a token has as much before it in the mean.
void MeasureLoad(const std::shared_ptr<const Policy>& policy, const Flags& flags,
                 const nlohmann::json& labels) {
  constexpr int64_t kPrompts = 200, kSamples = 5, kBatch = 64;
  const CounterRng rng({7});
  const auto run = [&](bool ragged) {
    Engine engine({.threads = flags.threads, .sequences_max = kBatch, .cache_bytes = kCacheBytes});
    if (ragged) {
      // Of one length a prompt, since no end of sequence comes from made-up weights.
      for (int64_t i = 0; i < kPrompts; ++i) {
        const int64_t prompt = 8 + static_cast<int64_t>(rng.Uniform(2 * i) * 2 * flags.prompt);
        const int64_t length = 8 + static_cast<int64_t>(rng.Uniform(2 * i + 1) * 2 *
                                                        static_cast<double>(flags.new_tokens));
        engine.Add(i, RequestOf(policy, i, prompt, length, kSamples));
      }
    } else {
      const int64_t n = flags.new_tokens, mean = 8 + n;
      const int64_t length = mean + n * n / (3 * mean);  // E[L^2] / E[L]
      for (int64_t i = 0; i < kBatch; ++i) {
        engine.Add(i, RequestOf(policy, i, 8 + flags.prompt, length));
      }
    }
    const Stopwatch watch;
    while (!engine.idle()) engine.Step();
    return static_cast<double>(engine.counters().decode_tokens) / watch.Seconds();
  };
  std::vector<double> ratios, rates;
  for (int repetition = 0; repetition < flags.repetitions; ++repetition) {
    const double ideal = run(false);
    rates.push_back(run(true));
    ratios.push_back(rates.back() / ideal);
  }
  nlohmann::json line = Measured("rollout/load", rates);
  line.update(labels);
  line["of_rectangular_batch"] = Median(ratios);
  Print(line);
}

// The prefill of prompts of 5 samples against that of 1.
void MeasureSharing(const std::shared_ptr<const Policy>& policy, const Flags& flags,
                    const nlohmann::json& labels) {
  const auto seconds = [&](size_t samples) {
    Engine engine({.threads = flags.threads, .cache_bytes = kCacheBytes});
    for (int64_t i = 0; i < 8; ++i) engine.Add(i, RequestOf(policy, i, 256, 2, samples));
    const Stopwatch watch;
    while (!engine.idle() && engine.counters().prefill_tokens < 8 * 255) engine.Step();
    return watch.Seconds();
  };
  std::vector<double> ratios;
  for (int repetition = 0; repetition < 2 * flags.repetitions + 1; ++repetition) {
    const double one = seconds(1);
    ratios.push_back(seconds(5) / one);
  }
  nlohmann::json line = labels;
  line["name"] = "rollout/prefill_of_5_samples";
  line["value"] = Median(ratios);
  line["unit"] = "times the prefill of 1";
  Print(line);
}

absl::Status Run(const Flags& flags) {
  for (const std::string& directory : flags.models) {
    for (const std::string& precision : flags.precisions) {
      ATTUNE_ASSIGN_OR_RETURN(const auto policy, Load(directory, precision));
      ATTUNE_RETURN_IF_ERROR(Check(policy, flags.threads));
      const nlohmann::json labels = {{"model", directory},
                                     {"precision", precision},
                                     {"threads", flags.threads},
                                     {"prompt_tokens", flags.prompt},
                                     {"new_tokens", flags.new_tokens}};
      for (int64_t count : flags.sequences) {
        MeasureRectangle(policy, flags, count, labels);
      }
      if (!flags.load) continue;
      MeasureLoad(policy, flags, labels);
      MeasureSharing(policy, flags, labels);
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::Flags flags;
  CLI::App app("Checks the engine, then measures it. Directories as make_model writes them.");
  app.option_defaults()->always_capture_default();
  app.add_option("MODEL_DIR", flags.models)->required();
  app.add_option("--precision", flags.precisions, "fp32, bf16, int8")->delimiter(',');
  app.add_option("--sequences", flags.sequences, "decoded together")->delimiter(',');
  app.add_option("--prompt", flags.prompt, "tokens");
  app.add_option("--new-tokens", flags.new_tokens, "drawn for each sequence");
  app.add_option("--threads", flags.threads);
  app.add_option("--repetitions", flags.repetitions, "median of");
  app.add_flag("--load", flags.load, "200 prompts of 5 samples with lengths of their own, too");
  CLI11_PARSE(app, argc, argv);
  attune::KeepLargeAllocations();
  const absl::Status status = attune::Run(flags);
  if (!status.ok()) std::fprintf(stderr, "rollout_bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
