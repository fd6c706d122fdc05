// The transformer of one policy version: its weights packed for the kernels, and the forward pass
// that sampling and scoring share. Load once, share between threads, replace as a whole.
#ifndef ATTUNE_MODEL_POLICY_H_
#define ATTUNE_MODEL_POLICY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/kernels.h"
#include "model/model_config.h"

namespace attune {

// Keys (rotated) and values of the positions of one sequence, for every layer. Grows as positions
// are written; a copy continues independently of the original. Not thread-safe.
class KvCache {
 public:
  // Makes room for `positions` positions in all; never shrinks.
  void Reserve(const ModelConfig& config, int64_t positions);

  float* keys(int64_t layer) { return layers_[layer].keys.data(); }      // [positions, kv_heads *
  float* values(int64_t layer) { return layers_[layer].values.data(); }  //  head_dim]

 private:
  struct Layer {
    std::vector<float> keys;
    std::vector<float> values;
  };
  std::vector<Layer> layers_;
};

// One token of one sequence to run through the model.
struct PolicyRow {
  KvCache* cache;     // of its sequence
  int64_t position;   // 0-based; its key and value are written there
  int32_t token;      // within the vocabulary
  bool wants_logits;  // of the token that follows
};

// Immutable and thread-safe.
class Policy {
 public:
  // `weights` in the order of WeightLayout(config), and as many (INVALID_ARGUMENT otherwise). They
  // are copied.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Policy>> Create(
      ModelConfig config, absl::Span<const float> weights);

  // Reads a Hugging Face directory: LoadModelConfig and LoadWeights.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Policy>> Load(
      const std::string& directory);

  const ModelConfig& config() const { return config_; }
  const std::string& digest() const { return digest_; }  // WeightsDigest

  // Runs the rows through the model together: prefill, decoding and scoring alike. A row attends to
  // all earlier positions of its cache, which an earlier call wrote or rows of this one write. The
  // numbers of a row do not depend on the other rows. Positions are below max_position_embeddings.
  // Returns the logits of the rows that want them, in order: [count, vocab_size].
  std::vector<float> Forward(absl::Span<const PolicyRow> rows) const;

 private:
  struct Layer {
    std::vector<float> attention_norm;  // [hidden]
    PackedMatrix q_proj;
    PackedMatrix k_proj;
    PackedMatrix v_proj;
    PackedMatrix o_proj;
    std::vector<float> mlp_norm;  // [hidden]
    PackedMatrix gate_proj;
    PackedMatrix up_proj;
    PackedMatrix down_proj;
  };
  struct Scratch;

  Policy(ModelConfig config, absl::Span<const float> weights);

  void RunAttention(absl::Span<const PolicyRow> rows, int64_t layer, Scratch* scratch) const;
  void RunMlp(const Layer& layer, int64_t rows, Scratch* scratch) const;
  std::vector<float> RunHead(absl::Span<const PolicyRow> rows, Scratch* scratch) const;

  const ModelConfig config_;
  std::string digest_;
  RopeTable rope_;
  std::vector<float> embeddings_;  // [vocab, hidden]
  std::vector<Layer> layers_;
  std::vector<float> final_norm_;  // [hidden]
  PackedMatrix head_;              // lm_head, or the embeddings when tied
};

}  // namespace attune

#endif  // ATTUNE_MODEL_POLICY_H_
