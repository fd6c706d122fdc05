// What loading, running and scoring with a model cost: time, and memory.
//
//   model_bench [load] [forward] [logprobs]       all three by default
//
// load      Policy::Load of a model of 334 million parameters, in bf16 and in fp32
// forward   tokens/s, against the time that the best matrix multiplication at hand needs for the
//           same products; checked against the slow reference first
// logprobs  peak memory of CompletionLogProbs with a large vocabulary
//
// One thread, and its processor time. The models are made up and written below $TMPDIR (1.3 GB).
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/gemm.h"
#include "bench/measure.h"
#include "bench/synthetic_model.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/layout.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "tests/reference/reference_model.h"

namespace attune {
namespace {

constexpr int kRuns = 5;

const char* NameOf(TensorType type) { return type == TensorType::kF32 ? "fp32" : "bf16"; }

double Megabytes(int64_t bytes) { return static_cast<double>(bytes) / 1e6; }

// ---- load

struct LoadResult {
  double seconds;
  int64_t peak_bytes;
  int64_t own_bytes;  // in the end, without pages of files
};

absl::Status BenchLoad(const std::string& directory) {
  const LlamaShape shape = {.name = "334M",
                            .vocab_size = 32000,
                            .hidden_size = 1024,
                            .intermediate_size = 4096,
                            .num_layers = 16,
                            .num_heads = 16,
                            .tied = false,
                            .max_position_embeddings = 2048};
  std::printf(
      "\nload: Policy::Load, file in the page cache, each run a new process, median of %d; 1 "
      "thread, processor time\n",
      kRuns);
  std::printf("%-6s %10s %10s %14s %12s %14s\n", "type", "file MB", "seconds", "peak RSS MB",
              "peak/file", "RssAnon MB");
  for (const TensorType type : {TensorType::kBf16, TensorType::kF32}) {
    ATTUNE_RETURN_IF_ERROR(WriteModelDirectory(directory, shape, type));
    ATTUNE_ASSIGN_OR_RETURN(const uint64_t file_bytes,
                            FileSize(JoinPath(directory, "model.safetensors")));
    std::vector<double> seconds, peaks, own;
    for (int run = 0; run < kRuns; ++run) {
      ATTUNE_ASSIGN_OR_RETURN(const LoadResult result, InChild([&]() -> LoadResult {
                                const double start = ProcessorSeconds();
                                const auto policy = Policy::Load(directory);
                                if (!policy.ok())
                                  std::fprintf(stderr, "%s\n", policy.status().ToString().c_str());
                                return {policy.ok() ? ProcessorSeconds() - start : NAN,
                                        MemoryBytes("VmHWM"), MemoryBytes("RssAnon")};
                              }));
      if (std::isnan(result.seconds)) return absl::InternalError("the model cannot be loaded");
      seconds.push_back(result.seconds);
      peaks.push_back(Megabytes(result.peak_bytes));
      own.push_back(Megabytes(result.own_bytes));
    }
    const double file_megabytes = Megabytes(static_cast<int64_t>(file_bytes));
    std::printf("%-6s %10.0f %10.2f %14.0f %12.2f %14.0f\n", NameOf(type), file_megabytes,
                Median(seconds), Median(peaks), Median(peaks) / file_megabytes, Median(own));
  }
  return absl::OkStatus();
}

// ---- forward

// A model and the fp32 weights that it was made of.
struct Model {
  std::vector<TensorSpec> layout;
  std::vector<float> weights;
  std::shared_ptr<const Policy> policy;
  bool tied;
};

absl::StatusOr<Model> MakeModel(const std::string& directory, const LlamaShape& shape,
                                TensorType type) {
  ATTUNE_RETURN_IF_ERROR(WriteConfig(directory, shape));
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config, LoadModelConfig(directory));
  Model model{.layout = WeightLayout(config), .tied = shape.tied};
  model.weights = SyntheticWeights(model.layout);
  ATTUNE_ASSIGN_OR_RETURN(model.policy, Policy::Create(config, model.weights, type));
  return model;
}

std::vector<float> LogitsOf(const Policy& policy, const std::vector<int32_t>& ids) {
  KvCache cache;
  std::vector<PolicyRow> rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    rows.push_back({&cache, static_cast<int64_t>(i), ids[i], true});
  }
  const std::vector<float> hidden = policy.Forward(rows);
  std::vector<float> logits(ids.size() * policy.config().outputs());
  policy.Logits(hidden.data(), static_cast<int64_t>(ids.size()), logits.data());
  return logits;
}

// The first layer of the shape, against the reference: the others are like it.
absl::Status CheckForward(const std::string& directory, LlamaShape shape) {
  shape.num_layers = 1;
  const std::vector<int32_t> ids = {1, 300, 4, 31999};
  ATTUNE_ASSIGN_OR_RETURN(const Model fp32, MakeModel(directory, shape, TensorType::kF32));
  ReferenceTensors tensors;
  for (const TensorSpec& spec : fp32.layout) {
    const auto begin = fp32.weights.begin() + spec.offset;
    tensors[spec.name] = {spec.shape, std::vector<double>(begin, begin + spec.size)};
  }
  const auto expected = ReferenceLogits(ConfigOf(shape), tensors, ids);
  const std::vector<float> logits = LogitsOf(*fp32.policy, ids);
  double scale = 0;
  double difference = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double wanted = expected[i / shape.vocab_size][i % shape.vocab_size];
    scale = std::max(scale, std::abs(wanted));
    difference = std::max(difference, std::abs(wanted - logits[i]));
  }
  std::printf("%s: largest logit %.3g, largest difference from the reference %.2g\n", shape.name,
              scale, difference);
  if (!(difference <= 1e-5 * scale)) return absl::InternalError("the logits are wrong");
  ATTUNE_ASSIGN_OR_RETURN(const Model bf16, MakeModel(directory, shape, TensorType::kBf16));
  if (LogitsOf(*bf16.policy, ids) == logits) return absl::OkStatus();
  return absl::InternalError("bf16 and fp32 weights of the same values give different logits");
}

// The matrix products of one forward pass of `rows`, `logit_rows` of which want logits.
double GemmSeconds(const GemmLibrary& library, const Model& model, int64_t rows,
                   int64_t logit_rows) {
  int64_t width = 0;
  for (const TensorSpec& spec : model.layout) {
    for (const int64_t side : spec.shape) width = std::max(width, side);
  }
  const std::vector<float> x(rows * width, 0.5f);
  std::vector<float> y(rows * width);
  const double start = ProcessorSeconds();
  for (const TensorSpec& spec : model.layout) {
    const bool embeddings = spec.name == "model.embed_tokens.weight";
    if (spec.shape.size() != 2 || (embeddings && !model.tied)) continue;
    const bool head = embeddings || spec.name == "lm_head.weight";
    library.multiply(x.data(), head ? logit_rows : rows, &model.weights[spec.offset], spec.shape[0],
                     spec.shape[1], y.data());
  }
  return ProcessorSeconds() - start;
}

double ForwardSeconds(const Policy& policy, const std::vector<PolicyRow>& rows) {
  const double start = ProcessorSeconds();
  const std::vector<float> hidden = policy.Forward(rows);
  const auto count = static_cast<int64_t>(hidden.size()) / policy.config().hidden_size;
  std::vector<float> logits(count * policy.config().outputs());
  policy.Logits(hidden.data(), count, logits.data());
  return ProcessorSeconds() - start;
}

// `rows` once to warm up, then the model and the libraries by turns.
void MeasureForward(const char* shape, TensorType type, const char* what, const Model& model,
                    const std::vector<PolicyRow>& rows) {
  const std::vector<GemmLibrary> libraries = GemmLibraries();
  const auto count = static_cast<int64_t>(rows.size());
  int64_t logit_rows = 0;
  for (const PolicyRow& row : rows) logit_rows += row.wants_logits ? 1 : 0;
  ForwardSeconds(*model.policy, rows);
  std::vector<double> forward;
  std::vector<std::vector<double>> gemm(libraries.size());
  for (int run = 0; run < 3 * kRuns; ++run) {
    forward.push_back(ForwardSeconds(*model.policy, rows));
    for (size_t i = 0; i < libraries.size(); ++i) {
      gemm[i].push_back(GemmSeconds(libraries[i], model, count, logit_rows));
    }
  }
  const double seconds = Median(forward);
  double best_seconds = INFINITY;
  const char* best = "none";
  for (size_t i = 0; i < libraries.size(); ++i) {
    if (Median(gemm[i]) >= best_seconds) continue;
    best_seconds = Median(gemm[i]);
    best = libraries[i].name;
  }
  std::printf("%-6s %-6s %-8s %6lld %12.1f %12.1f %-10s %8.2f\n", shape, NameOf(type), what,
              static_cast<long long>(count), count / seconds, count / best_seconds, best,
              best_seconds / seconds);
}

void MeasurePrefill(const char* shape, TensorType type, const Model& model) {
  constexpr int64_t kRows = 256;
  KvCache cache;
  std::vector<PolicyRow> rows;
  for (int64_t i = 0; i < kRows; ++i) {
    rows.push_back({&cache, i, static_cast<int32_t>(i * 97 % 32000), i + 1 == kRows});
  }
  MeasureForward(shape, type, "prefill", model, rows);
}

// Every sequence has 128 positions behind it. The same position is decoded again and again.
void MeasureDecode(const char* shape, TensorType type, const Model& model, int64_t sequences) {
  constexpr int64_t kPosition = 128;
  KvCache prompt;
  std::vector<PolicyRow> rows;
  for (int64_t i = 0; i < kPosition; ++i) {
    rows.push_back({&prompt, i, static_cast<int32_t>(i * 97 % 32000), false});
  }
  model.policy->Forward(rows);
  std::vector<KvCache> caches(sequences, prompt);
  rows.clear();
  for (int64_t i = 0; i < sequences; ++i) {
    rows.push_back({&caches[i], kPosition, static_cast<int32_t>(i), true});
  }
  MeasureForward(shape, type, "decode", model, rows);
}

absl::Status BenchForward(const std::string& directory) {
  const std::vector<LlamaShape> shapes = {{.name = "15M",
                                           .vocab_size = 32000,
                                           .hidden_size = 288,
                                           .intermediate_size = 768,
                                           .num_layers = 6,
                                           .num_heads = 6,
                                           .tied = true,
                                           .max_position_embeddings = 1024},
                                          {.name = "110M",
                                           .vocab_size = 32000,
                                           .hidden_size = 768,
                                           .intermediate_size = 2048,
                                           .num_layers = 12,
                                           .num_heads = 12,
                                           .tied = true,
                                           .max_position_embeddings = 1024}};
  std::printf(
      "\nforward: logits of every decoded row, of the last prefilled one; 1 thread, "
      "processor time, median of %d\n",
      3 * kRuns);
  for (const LlamaShape& shape : shapes) ATTUNE_RETURN_IF_ERROR(CheckForward(directory, shape));
  std::printf("GEMM alone: the matrix products in fp32 by the faster of the libraries at hand\n");
  std::printf("%-6s %-6s %-8s %6s %12s %12s %-10s %8s\n", "shape", "type", "what", "rows",
              "tokens/s", "GEMM alone", "by", "ratio");
  for (const LlamaShape& shape : shapes) {
    for (const TensorType type : {TensorType::kF32, TensorType::kBf16}) {
      ATTUNE_ASSIGN_OR_RETURN(const Model model, MakeModel(directory, shape, type));
      MeasurePrefill(shape.name, type, model);
      for (const int64_t sequences : {1, 8, 64}) {
        MeasureDecode(shape.name, type, model, sequences);
      }
    }
  }
  return absl::OkStatus();
}

// ---- logprobs

struct LogProbsResult {
  double seconds;
  int64_t growth_bytes;  // of resident memory, at its peak
};

LogProbsResult MeasureLogProbs(const std::string& directory, int64_t tokens) {
  const auto policy = Policy::Load(directory);
  if (!policy.ok()) return {NAN, 0};
  const std::vector<int32_t> prompt = {1, 2, 3};
  std::vector<int32_t> completion;
  for (int64_t i = 0; i < tokens; ++i) {
    completion.push_back(static_cast<int32_t>(i * 97 % (*policy)->config().vocab_size));
  }
  const int64_t before = MemoryBytes("VmRSS");
  const double start = ProcessorSeconds();
  const auto logps = CompletionLogProbs(**policy, prompt, completion);
  return {logps.ok() ? ProcessorSeconds() - start : NAN, MemoryBytes("VmHWM") - before};
}

absl::Status BenchLogProbs(const std::string& directory) {
  const LlamaShape shape = {.name = "tiny",
                            .vocab_size = 151936,
                            .hidden_size = 32,
                            .intermediate_size = 64,
                            .num_layers = 1,
                            .num_heads = 2,
                            .tied = true,
                            .max_position_embeddings = 16384};
  ATTUNE_RETURN_IF_ERROR(WriteModelDirectory(directory, shape, TensorType::kBf16));
  std::printf(
      "\nlogprobs: CompletionLogProbs, vocabulary %lld, hidden size %lld, each a "
      "new process; 1 thread, processor time\n",
      static_cast<long long>(shape.vocab_size), static_cast<long long>(shape.hidden_size));
  std::printf("%8s %10s %14s %28s\n", "tokens", "seconds", "peak growth MB",
              "[tokens, vocabulary] fp32 MB");
  for (const int64_t tokens : {512, 2048, 8192}) {
    ATTUNE_ASSIGN_OR_RETURN(const LogProbsResult result,
                            InChild([&] { return MeasureLogProbs(directory, tokens); }));
    if (std::isnan(result.seconds)) return absl::InternalError("no log-probabilities");
    std::printf("%8lld %10.2f %14.1f %28.0f\n", static_cast<long long>(tokens), result.seconds,
                Megabytes(result.growth_bytes), Megabytes(tokens * shape.vocab_size * 4));
  }
  return absl::OkStatus();
}

absl::Status Run(const std::vector<std::string>& wanted, const std::string& directory) {
  const auto wants = [&](const char* name) {
    return wanted.empty() || std::find(wanted.begin(), wanted.end(), name) != wanted.end();
  };
  std::printf("%s\n", ProcField("/proc/cpuinfo", "model name").c_str());
  if (wants("load")) ATTUNE_RETURN_IF_ERROR(BenchLoad(directory));
  if (wants("logprobs")) ATTUNE_RETURN_IF_ERROR(BenchLogProbs(directory));
  if (wants("forward")) ATTUNE_RETURN_IF_ERROR(BenchForward(directory));
  return absl::OkStatus();
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
#ifndef __OPTIMIZE__
  std::fprintf(stderr, "model_bench: built without optimisation; build the preset release\n");
  return 2;
#endif
  const std::vector<std::string> wanted(argv + 1, argv + argc);
  for (const std::string& name : wanted) {
    if (name == "load" || name == "forward" || name == "logprobs") continue;
    std::fprintf(stderr, "usage: model_bench [load] [forward] [logprobs]\n");
    return 2;
  }
  const auto directory = attune::MakeTemporaryDirectory("attune-bench");
  absl::Status status = directory.status();
  if (status.ok()) {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    status = attune::Run(wanted, *directory);
    status.Update(attune::RemoveAll(*directory));
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "model_bench: %s\n", std::string(status.message()).c_str());
  return 1;
}
