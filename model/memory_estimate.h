// The memory that a model needs, by what Policy and the trainer hold of each parameter.
// Activations, which depend on the sequences, and the code itself are not counted. Bytes.
#ifndef ATTUNE_MODEL_MEMORY_ESTIMATE_H_
#define ATTUNE_MODEL_MEMORY_ESTIMATE_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "model/model_config.h"
#include "model/tensor_type.h"

namespace attune {

// Of more parameters than that, the sums below may not fit.
inline constexpr int64_t kEstimatedParametersMax = int64_t{1} << 52;

// The weights as Policy holds them: matrices in the type that `type` says of their tensor, in whole
// panels; everything else in fp32.
int64_t SamplingWeightBytes(const ModelConfig& config,
                            absl::FunctionRef<TensorType(const std::string&)> type);

// Keys and values of one position of one sequence, in fp32.
int64_t KvCacheBytesPerToken(const ModelConfig& config);

// What each of `ranks` training processes holds for every parameter.
struct TrainingMemory {
  int64_t weights;    // fp32, and the matrices packed for the forward pass in the precision
  int64_t gradients;  // of one pair in fp32, and their sum in fp64
  int64_t optimizer;  // AdamW's moments, and the summed gradient that they are updated with
  int64_t published;  // the newest two policies for the samplers: this rank's slice in fp32
  int64_t total() const { return weights + gradients + optimizer + published; }
};

// Stages of ZeRO (Rajbhandari et al. 2020): 0 shares out nothing between ranks, 1 the optimizer's
// state, 2 the summed gradients too, 3 the weights too.
TrainingMemory TrainingMemoryPerRank(const ModelConfig& config, int zero_stage, int ranks,
                                     TensorType precision);

// The trainer has the stages up to this one.
inline constexpr int kZeroStageMax = 1;

}  // namespace attune

#endif  // ATTUNE_MODEL_MEMORY_ESTIMATE_H_
