// train_step: what one update of DPO costs: forward, backward, clipping, AdamW. First it checks
// that pairs run through the model together add the gradient that they add one at a time; then it
// measures. Under mpirun ranks share the pairs. JSON lines.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "attune/v1/trainer.pb.h"
#include "bench/measure.h"
#include "comm/collective.h"
#include "common/clock.h"
#include "common/process.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"
#include "worker/pieces.h"
#include "worker/products.h"
#include "worker/train_step.h"
#include "worker/trained_policy.h"

namespace attune {
namespace {

struct Flags {
  std::vector<std::string> models;
  std::vector<std::string> precisions = {"fp32", "bf16"};
  std::string lengths_of;
  size_t pairs = 8;
  int threads = ProcessorCount();
  uint32_t zero_stage = 1;
  int repetitions = 3;
  bool reference = false;
  bool gradient_checkpointing = false;
};

// Tokens of a prompt and its two responses.
struct PairLengths {
  int64_t prompt, chosen, rejected;
};

// Of every 37th pair of the file, at four bytes to a token, as is usual; none above 128 + 384.
std::vector<PairLengths> LengthsOf(const Flags& flags) {
  if (flags.lengths_of.empty()) return std::vector<PairLengths>(flags.pairs, {128, 128, 128});
  std::vector<PairLengths> lengths;
  std::ifstream file(flags.lengths_of);
  int number = 0;
  for (std::string line; std::getline(file, line) && lengths.size() < flags.pairs;) {
    if (number++ % 37 != 0) continue;
    const nlohmann::json pair = nlohmann::json::parse(line);
    const auto tokens = [&](const char* key, size_t most) {
      return static_cast<int64_t>(
          std::clamp<size_t>(pair.at(key).get<std::string>().size() / 4, 1, most));
    };
    lengths.push_back({tokens("prompt", 128), tokens("chosen", 384), tokens("rejected", 384)});
  }
  return lengths;
}

// Random tokens. What the reference says is recorded, as where it is the policy that sampled.
std::vector<v1::TrainingPair> PairsOf(const Flags& flags, int64_t vocabulary) {
  const CounterRng rng({42});
  uint64_t drawn = 0;
  const auto fill = [&](int64_t count, auto* ids) {
    for (int64_t i = 0; i < count; ++i) {
      ids->Add(static_cast<uint32_t>(rng.Uniform(drawn++) * static_cast<double>(vocabulary)));
    }
  };
  std::vector<v1::TrainingPair> pairs;
  for (const PairLengths& lengths : LengthsOf(flags)) {
    v1::TrainingPair& pair = pairs.emplace_back();
    pair.set_index(pairs.size() - 1);
    pair.set_position(pair.index());
    fill(lengths.prompt, pair.mutable_prompt_token_ids());
    for (auto [response, count] : {std::pair{pair.mutable_chosen(), lengths.chosen},
                                   std::pair{pair.mutable_rejected(), lengths.rejected}}) {
      fill(count, response->mutable_token_ids());
      if (flags.reference) continue;
      for (int64_t i = 0; i < count; ++i) {
        response->add_reference_logps(-std::log(static_cast<double>(vocabulary)));
      }
    }
  }
  return pairs;
}

// Those that a model must run through its layers, a prompt once.
int64_t DistinctTokens(const std::vector<v1::TrainingPair>& pairs) {
  int64_t tokens = 0;
  for (const v1::TrainingPair& pair : pairs) {
    tokens += pair.prompt_token_ids_size() + pair.chosen().token_ids_size() +
              pair.rejected().token_ids_size();
  }
  return tokens;
}

// The best of several products that stay packed, by the kernels and threads of the trainer.
double PeakGigaflops(TensorType precision) {
  constexpr int64_t kRows = 1024, kOutputs = 2048, kInputs = 1024;
  const at::Tensor x = at::rand({kRows, kInputs}), w = at::rand({kOutputs, kInputs});
  const PackedMatrix packed = PackedFactor(w, precision);
  double best = 0;
  for (int i = 0; i < 10; ++i) {
    const absl::Time start = absl::Now();
    MatMulRows(x, packed);
    best = std::max(best,
                    2e-9 * kRows * kOutputs * kInputs / absl::ToDoubleSeconds(absl::Now() - start));
  }
  return best;
}

class Bench {
 public:
  Bench(const Flags& flags, ModelConfig config, std::vector<float> weights, TensorType precision,
        Collective& ranks)
      : flags_(flags),
        config_(std::move(config)),
        pairs_(PairsOf(flags, config_.vocab_size)),
        precision_(precision),
        ranks_(ranks),
        reference_weights_(flags.reference ? weights : std::vector<float>()),
        policy_(config_,
                {.optimizer = {.beta1 = 0.9,
                               .beta2 = 0.999,
                               .epsilon = 1e-8,
                               .weight_decay = 0,
                               .max_grad_norm = 1,
                               .zero_stage = flags.zero_stage},
                 .precision = precision,
                 .gradient_checkpointing = flags.gradient_checkpointing},
                ranks, std::move(weights)) {
    if (flags.reference) {
      reference_.emplace(config_, absl::MakeSpan(reference_weights_), absl::Span<double>(),
                         precision);
    }
    v1::TrainRoundRequest request;
    request.mutable_objective()->add_loss_type(v1::LOSS_TYPE_SIGMOID);
    request.mutable_objective()->set_beta(0.1);
    request.mutable_objective()->set_ld_alpha(1);
    request.set_responses(2);
    objective_ = TrainingObjectiveOf(request).value();
    for (size_t i = ranks.rank(); i < pairs_.size(); i += ranks.size()) mine_.push_back(pairs_[i]);
  }

  absl::StatusOr<UpdateSums> Accumulate(size_t pass_pairs) {
    const TrainingModels models = {.config = &config_,
                                   .policy = &policy_.model(),
                                   .reference = reference_.has_value() ? &*reference_ : nullptr};
    return AccumulateGradients(objective_, models, {}, mine_, pass_pairs,
                               static_cast<int64_t>(pairs_.size()));
  }

  // The norm of the gradient is that of pairs one at a time.
  absl::Status Check() {
    ATTUNE_ASSIGN_OR_RETURN(const UpdateSums together, Accumulate(flags_.pairs));
    ATTUNE_ASSIGN_OR_RETURN(const double norm, policy_.Step(ranks_, 0));
    ATTUNE_ASSIGN_OR_RETURN(const UpdateSums apart, Accumulate(1));
    ATTUNE_ASSIGN_OR_RETURN(const double norm_apart, policy_.Step(ranks_, 0));
    if (std::abs(norm - norm_apart) <= 1e-9 * norm &&
        std::abs(together.loss - apart.loss) <= 1e-12 * std::abs(together.loss)) {
      return absl::OkStatus();
    }
    return absl::InternalError(absl::StrCat("pairs together have loss ", together.loss,
                                            " and gradient norm ", norm, ", one at a time ",
                                            apart.loss, " and ", norm_apart));
  }

  absl::Status Measure(const std::string& model) {
    const double peak = PeakGigaflops(precision_);
    ATTUNE_RETURN_IF_ERROR(Check());
    std::vector<double> seconds, backward;
    for (int i = 0; i < flags_.repetitions; ++i) {
      ATTUNE_RETURN_IF_ERROR(ranks_.Barrier());
      const absl::Time start = absl::Now();
      ATTUNE_RETURN_IF_ERROR(Accumulate(flags_.pairs).status());
      backward.push_back(absl::ToDoubleSeconds(absl::Now() - start));
      ATTUNE_RETURN_IF_ERROR(policy_.Step(ranks_, 1e-9).status());
      seconds.push_back(absl::ToDoubleSeconds(absl::Now() - start));
    }
    const double step = Median(seconds);
    const auto tokens = static_cast<double>(DistinctTokens(pairs_));
    const auto parameters = static_cast<double>(WeightCount(WeightLayout(config_)));
    const double useful = 6e-9 * parameters * tokens / step;
    const nlohmann::json line = {{"name", "train_step"},
                                 {"model", model},
                                 {"precision", precision_ == TensorType::kBf16 ? "bf16" : "fp32"},
                                 {"pairs", pairs_.size()},
                                 {"lengths", flags_.lengths_of.empty() ? "128+128" : "ragged"},
                                 {"reference", flags_.reference ? "computed" : "recorded"},
                                 {"gradient_checkpointing", flags_.gradient_checkpointing},
                                 {"distinct_tokens", tokens},
                                 {"ranks", ranks_.size()},
                                 {"zero_stage", flags_.zero_stage},
                                 {"threads", flags_.threads},
                                 {"value", step},
                                 {"unit", "s"},
                                 {"repetitions", flags_.repetitions},
                                 {"min", *std::min_element(seconds.begin(), seconds.end())},
                                 {"max", *std::max_element(seconds.begin(), seconds.end())},
                                 {"optimizer_seconds", step - Median(backward)},
                                 {"pairs_per_second", static_cast<double>(pairs_.size()) / step},
                                 {"tokens_per_second", tokens / step},
                                 {"useful_gflops", useful},
                                 {"peak_gflops", peak},
                                 {"utilisation", useful / (peak * ranks_.size())},
                                 {"peak_memory_bytes", MemoryBytes("VmHWM")}};
    if (ranks_.rank() == 0) std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
    return absl::OkStatus();
  }

 private:
  const Flags& flags_;
  const ModelConfig config_;
  const std::vector<v1::TrainingPair> pairs_;
  std::vector<v1::TrainingPair> mine_;  // of this rank
  const TensorType precision_;
  Collective& ranks_;
  std::vector<float> reference_weights_;
  TrainedPolicy policy_;
  std::optional<DifferentiableModel> reference_;
  TrainingObjective objective_;
};

absl::Status Run(const Flags& flags) {
  ATTUNE_ASSIGN_OR_RETURN(const auto ranks, MakeMpiCollective());
  SetPieceThreads(flags.threads);
  for (const std::string& model : flags.models) {
    for (const std::string& precision : flags.precisions) {
      ATTUNE_ASSIGN_OR_RETURN(ModelConfig config, LoadModelConfig(model));
      ATTUNE_ASSIGN_OR_RETURN(std::vector<float> weights, LoadWeights(model, config));
      Bench bench(flags, std::move(config), std::move(weights),
                  precision == "bf16" ? TensorType::kBf16 : TensorType::kF32, *ranks);
      ATTUNE_RETURN_IF_ERROR(bench.Measure(model));
    }
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
#ifndef __OPTIMIZE__
  std::fprintf(stderr, "train_step: built without optimisation; build the preset release\n");
  return 2;
#endif
  attune::KeepLargeAllocations();
  attune::Flags flags;
  CLI::App app("What one update of DPO costs");
  app.add_option("--model", flags.models, "Hugging Face directories")->required();
  app.add_option("--precision", flags.precisions, "fp32, bf16")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--lengths-of", flags.lengths_of,
                 "JSONL of pairs as long as real ones; without: 128 + 128 tokens each");
  app.add_option("--pairs", flags.pairs, "of the update");
  app.add_option("--threads", flags.threads, "of the rank");
  app.add_option("--zero-stage", flags.zero_stage, "0 or 1: state of the optimiser shared out")
      ->check(CLI::Range(0, 1));
  app.add_option("--repetitions", flags.repetitions, "the median counts");
  app.add_flag("--reference", flags.reference, "run a reference model instead of recorded numbers");
  app.add_flag("--gradient-checkpointing", flags.gradient_checkpointing, "run layers again");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = attune::Run(flags);
  if (status.ok()) return 0;
  std::fprintf(stderr, "train_step: %s\n", std::string(status.message()).c_str());
  return 1;
}
