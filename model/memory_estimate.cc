#include "model/memory_estimate.h"

#include "model/kernels.h"
#include "model/kv_cache.h"
#include "model/layout.h"

namespace attune {
namespace {

constexpr int64_t kFloatBytes = 4;
constexpr int64_t kDoubleBytes = 8;
constexpr int64_t kPublishedPolicies = 2;

// Elements of a matrix in whole panels.
int64_t PackedSize(const LinearRef& ref) {
  constexpr int64_t width = PackedMatrix::kPanelWidth;
  return (ref.outputs + width - 1) / width * width * ref.inputs;
}

// Calls take(ref) for the linear maps of the model, the head among them.
void ForEachLinear(const ModelRefs& refs, absl::FunctionRef<void(const LinearRef&)> take) {
  for (const LayerRefs& layer : refs.layers) {
    for (const LinearRef* ref :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (!ref->weight.empty()) take(*ref);
    }
  }
  take(refs.head);
}

// A rank's part of `count` elements.
int64_t Slice(int64_t count, int ranks) { return (count + ranks - 1) / ranks; }

}  // namespace

int64_t SamplingWeightBytes(const ModelConfig& config,
                            absl::FunctionRef<TensorType(const std::string&)> type) {
  const ModelRefs refs = RefsOf(config);
  int64_t bytes = WeightCount(WeightLayout(config)) * kFloatBytes;
  const auto pack = [&](const LinearRef& ref) {
    bytes += PackedSize(ref) * BytesOf(type(ref.weight)) - ref.outputs * ref.inputs * kFloatBytes;
  };
  ForEachLinear(refs, pack);
  if (refs.head.weight != refs.embeddings) {
    pack({.weight = refs.embeddings, .outputs = config.vocab_size, .inputs = config.hidden_size});
  }
  return bytes;
}

int64_t KvCacheBytesPerToken(const ModelConfig& config) {
  return KvLayout(config, /*bf16=*/false).page_bytes / kPagePositions;
}

TrainingMemory TrainingMemoryPerRank(const ModelConfig& config, int zero_stage, int ranks,
                                     TensorType precision) {
  int64_t packed = 0;
  ForEachLinear(RefsOf(config),
                [&](const LinearRef& ref) { packed += PackedSize(ref) * BytesOf(precision); });
  const int64_t slice = Slice(WeightCount(WeightLayout(config)), ranks);
  const int64_t whole = slice * ranks;  // padded
  const int64_t state = zero_stage >= 1 ? slice : whole;
  const int64_t sums = zero_stage >= 2 ? slice : whole;
  TrainingMemory memory;
  memory.weights = whole * kFloatBytes + packed;
  if (zero_stage >= 3) memory.weights = slice * kFloatBytes + Slice(packed, ranks);
  memory.gradients = whole * kFloatBytes + sums * kDoubleBytes;
  memory.optimizer = 3 * state * kFloatBytes;
  // Up to stage 1 the slice of the sum is held besides the sum.
  if (zero_stage <= 1) memory.optimizer += slice * kDoubleBytes;
  memory.published = kPublishedPolicies * slice * kFloatBytes;
  return memory;
}

}  // namespace attune
