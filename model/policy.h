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
#include "model/kv_cache.h"
#include "model/model_config.h"
#include "model/tensor_type.h"
#include "model/thread_team.h"
#include "model/weight_files.h"

namespace attune {

// One token of one sequence to run through the model; the rows of a sequence lie together.
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
  // are copied. With a `precision` of kBf16, not kF32, linear weights and embeddings are rounded to
  // bf16, and so are what they are multiplied with, keys and values; sums and the rest stay fp32.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Policy>> Create(
      ModelConfig config, absl::Span<const float> weights, TensorType precision = TensorType::kF32);

  // Reads a Hugging Face directory. Every tensor is held once, in the type it is stored in, and
  // computed with in fp32.
  [[nodiscard]] static absl::StatusOr<std::shared_ptr<const Policy>> Load(
      const std::string& directory);
  // The same of a directory whose files are open, and looked at by the caller too. With a
  // `precision`, rounded to that as by Create.
  static std::shared_ptr<const Policy> Read(ModelConfig config, const WeightFiles& files,
                                            std::optional<TensorType> precision = std::nullopt);

  // This policy with linear weights and embeddings in 8 bits (Products::kInt8), the rest in fp32:
  // another distribution, to draw from where memory or its speed is short, but not to be trained
  // against: score what it draws with this one.
  [[nodiscard]] std::shared_ptr<const Policy> Quantized() const;

  const ModelConfig& config() const { return config_; }
  const KvLayout& kv_layout() const { return kv_layout_; }

  // Runs the rows through the model together: prefill, decoding and scoring alike. A row attends to
  // earlier positions of its cache, which an earlier call wrote or rows of this one write. The
  // numbers of a row do not depend on the other rows, nor on the team. Positions are below
  // max_position_embeddings; those of a sequence come in ascending order without gaps. Returns the
  // final hidden states of the rows that want logits, in order: [count, hidden_size].
  std::vector<float> Forward(absl::Span<const PolicyRow> rows, ThreadTeam* team = nullptr) const;

  // Hidden states [rows, hidden_size] to logits [rows, config().outputs()].
  void Logits(const float* hidden, int64_t rows, float* logits, ThreadTeam* team = nullptr) const;

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
  struct Product;
  using TensorSource = absl::FunctionRef<TensorView(const std::string& name)>;

  explicit Policy(const Policy& exact);  // Quantized
  // `precision` empty: of each tensor its own, for arithmetic in fp32.
  Policy(ModelConfig config, TensorSource source, std::optional<TensorType> precision);

  // Forward of rows whose caches are prepared.
  std::vector<float> RunRows(absl::Span<const PolicyRow> rows, ThreadTeam* team) const;
  void Embed(absl::Span<const PolicyRow> rows, Scratch* scratch) const;
  void Normalise(const Norm& norm, const float* x, int64_t rows, int64_t dim, float* y) const;
  // Normalised rows of the residual stream, as what comes next multiplies them.
  void NormaliseRows(const Norm& norm, Scratch* scratch) const;
  void RunAttention(absl::Span<const PolicyRow> rows, int64_t layer, Scratch* scratch) const;
  // Rotates q and k of row i, and writes its keys and values to its cache.
  void RotateAndStore(const PolicyRow& row, int64_t i, int64_t layer, Scratch* scratch) const;
  void AttendTo(const PolicyRow& row, int64_t i, int64_t layer, Scratch* scratch) const;
  void RunMlp(const Layer& layer, Scratch* scratch) const;
  // Adds a block's output to the residual stream.
  void AddBlock(const Norm& post_norm, Scratch* scratch) const;

  const ModelConfig config_;
  const KvLayout kv_layout_;
  PackedMatrix head_;             // lm_head or score, or the embeddings when tied
  PackedMatrix embeddings_;       // [vocab, hidden]; empty when head_ is it
  std::vector<float> positions_;  // [max_position_embeddings, hidden], or empty
  std::vector<Layer> layers_;
  Norm final_norm_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_POLICY_H_
