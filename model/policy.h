// The transformer of one policy version: its weights packed for the kernels, and the forward pass
// that sampling and scoring share. Load once, share between threads, replace as a whole.
#ifndef ATTUNE_MODEL_POLICY_H_
#define ATTUNE_MODEL_POLICY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/kernels.h"
#include "model/model_config.h"
#include "model/tensor_type.h"
#include "model/weight_files.h"

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
  // are copied; linear weights and embeddings are rounded to `precision` (kF32 or kBf16), the other
  // tensors and all arithmetic stay fp32.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Policy>> Create(
      ModelConfig config, absl::Span<const float> weights, TensorType precision = TensorType::kF32);

  // Reads a Hugging Face directory. Every tensor is held once, in the type it is stored in.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Policy>> Load(
      const std::string& directory);
  // The same of a directory whose files are open, and looked at by the caller too. With a
  // `precision`, rounded to that as by Create.
  static std::shared_ptr<const Policy> Read(ModelConfig config, const WeightFiles& files,
                                            std::optional<TensorType> precision = std::nullopt);

  const ModelConfig& config() const { return config_; }

  // Runs the rows through the model together: prefill, decoding and scoring alike. A row attends to
  // earlier positions of its cache, which an earlier call wrote or rows of this one write. The
  // numbers of a row do not depend on the other rows. Positions are below max_position_embeddings.
  // Returns the final hidden states of the rows that want logits, in order: [count, hidden_size].
  std::vector<float> Forward(absl::Span<const PolicyRow> rows) const;

  // Hidden states [rows, hidden_size] to logits [rows, config().outputs()].
  void Logits(const float* hidden, int64_t rows, float* logits) const;

 private:
  struct Linear {
    PackedMatrix weight;
    std::vector<float> bias;  // empty: none
  };
  struct Norm {
    std::vector<float> weight;  // empty: there is no such norm
    std::vector<float> bias;    // empty: none
  };
  struct Layer {
    Norm attention_norm;
    Linear q, k, v, o;
    Norm q_norm, k_norm;
    Norm attention_post_norm;
    Norm mlp_norm;
    Linear gate, up, down;
    Norm mlp_post_norm;
  };
  struct Scratch;
  using TensorSource = absl::FunctionRef<TensorView(const std::string& name)>;

  // `precision` empty: of each tensor its own.
  Policy(ModelConfig config, TensorSource source, std::optional<TensorType> precision);

  void Embed(absl::Span<const PolicyRow> rows, Scratch* scratch) const;
  void Normalise(const Norm& norm, const float* x, int64_t rows, int64_t dim, float* y) const;
  void RunAttention(absl::Span<const PolicyRow> rows, int64_t layer, Scratch* scratch) const;
  // Rotates q and k, and writes keys and values to the caches.
  void RotateAndStore(absl::Span<const PolicyRow> rows, int64_t layer, Scratch* scratch) const;
  void RunMlp(const Layer& layer, int64_t rows, Scratch* scratch) const;
  // Adds a block's output to the residual stream.
  void AddBlock(const Norm& post_norm, int64_t rows, Scratch* scratch) const;

  const ModelConfig config_;
  PackedMatrix head_;             // lm_head or score, or the embeddings when tied
  PackedMatrix embeddings_;       // [vocab, hidden]; empty when head_ is it
  std::vector<float> positions_;  // [max_position_embeddings, hidden], or empty
  std::vector<Layer> layers_;
  Norm final_norm_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_POLICY_H_
