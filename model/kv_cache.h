// Keys (rotated) and values of the positions of a sequence, in pages that copies share.
#ifndef ATTUNE_MODEL_KV_CACHE_H_
#define ATTUNE_MODEL_KV_CACHE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "model/kernels_layout.h"
#include "model/model_config.h"

namespace attune {

// Where things lie in a page (model/kernels_layout.h), of all layers of a model.
struct KvLayout {
  KvLayout(const ModelConfig& config, bool bf16);
  KvLayout(int64_t layers, int64_t kv_heads, int64_t head_dim, bool bf16);

  int64_t keys_offset(int64_t layer) const { return layer * layer_bytes; }
  int64_t values_offset(int64_t layer) const { return layer * layer_bytes + keys_bytes; }

  bool bf16;
  int64_t kv_heads;
  int64_t head_dim;
  int64_t keys_bytes;   // of one layer
  int64_t layer_bytes;  // keys and values
  int64_t page_bytes;
};

// Keeps pages that are no longer used for the next sequence, and counts those in use. Not
// thread-safe; caches may outlive it.
class KvPages {
 public:
  int64_t bytes() const { return state_->bytes; }  // in use

 private:
  friend class KvCache;
  struct State {
    int64_t bytes = 0;
    int64_t page_bytes = 0;  // of those kept
    std::vector<char*> kept;
    ~State();
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Grows as positions are written; a copy shares the pages and goes on by itself, since a page is
// copied before it is written to while others share it. Not thread-safe.
class KvCache {
 public:
  KvCache() = default;
  // Takes its pages from `pages`.
  explicit KvCache(const KvPages& pages) : source_(pages.state_) {}

  // Makes room for the position, which is at most one behind the last, with a page of its own.
  void Prepare(const KvLayout& layout, int64_t position);
  // Whether Prepare would take a page.
  bool NeedsPage(int64_t position) const;

  // k, v [kv_heads, head_dim] of a prepared position and layer.
  void Write(const KvLayout& layout, int64_t layer, int64_t position, const float* k,
             const float* v);

  const char* const* pages() const { return addresses_.data(); }

 private:
  std::shared_ptr<char> NewPage(int64_t bytes, const char* copied);

  std::shared_ptr<KvPages::State> source_;  // may be null
  std::vector<std::shared_ptr<char>> pages_;
  std::vector<const char*> addresses_;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_KV_CACHE_H_
