// What loading a model and scoring with it cost: time, and memory.
//
//   model_bench [load] [logprobs]       both by default
//
// load      Policy::Load of a model of 334 million parameters, in bf16 and in fp32
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
#include "bench/measure.h"
#include "bench/synthetic_model.h"
#include "common/files.h"
#include "common/status_macros.h"
#include "model/policy.h"
#include "model/scorer.h"

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
    if (name == "load" || name == "logprobs") continue;
    std::fprintf(stderr, "usage: model_bench [load] [logprobs]\n");
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
