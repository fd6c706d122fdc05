#include "model/kv_cache.h"

#include <cstdlib>
#include <cstring>

#include "common/check.h"
#include "model/kernels.h"

namespace attune {
namespace {

constexpr size_t kAlignment = 64;

char* Allocate(int64_t bytes) {
  void* const page = std::aligned_alloc(kAlignment, static_cast<size_t>(bytes));
  ATTUNE_CHECK(page != nullptr);
  return static_cast<char*>(page);
}

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

KvLayout::KvLayout(const ModelConfig& config, bool bf16)
    : KvLayout(config.num_layers, config.num_kv_heads, config.head_dim, bf16) {}

KvLayout::KvLayout(int64_t layers, int64_t kv_heads, int64_t head_dim, bool bf16)
    : bf16(bf16), kv_heads(kv_heads), head_dim(head_dim) {
  constexpr int64_t kStored = 4;  // bytes of a float or of a pair
  const int64_t shared = bf16 ? 2 : 1;
  keys_bytes = kv_heads * (RoundUp(head_dim, shared) / shared) * kPagePositions * kStored;
  layer_bytes = keys_bytes + kv_heads * (kPagePositions / shared) *
                                 RoundUp(head_dim, kValueColumns) * kStored;
  page_bytes = layer_bytes * layers;
}

KvPages::State::~State() {
  for (char* page : kept) std::free(page);
}

std::shared_ptr<char> KvCache::NewPage(int64_t bytes, const char* copied) {
  char* page = nullptr;
  KvPages::State* const source = source_.get();
  if (source != nullptr && source->page_bytes == bytes && !source->kept.empty()) {
    page = source->kept.back();
    source->kept.pop_back();
  } else {
    page = Allocate(bytes);
  }
  // Kernels multiply what was not written yet with zero, so it must be a number.
  if (copied != nullptr) {
    std::memcpy(page, copied, static_cast<size_t>(bytes));
  } else {
    std::memset(page, 0, static_cast<size_t>(bytes));
  }
  if (source == nullptr) return std::shared_ptr<char>(page, [](char* p) { std::free(p); });
  source->bytes += bytes;
  return std::shared_ptr<char>(page, [state = source_, bytes](char* p) {
    state->bytes -= bytes;
    if (state->page_bytes != bytes) {  // a model of another shape
      for (char* kept : state->kept) std::free(kept);
      state->kept.clear();
      state->page_bytes = bytes;
    }
    state->kept.push_back(p);
  });
}

bool KvCache::NeedsPage(int64_t position) const {
  const size_t index = static_cast<size_t>(position / kPagePositions);
  return index >= pages_.size() || pages_[index].use_count() > 1;
}

void KvCache::Prepare(const KvLayout& layout, int64_t position) {
  const size_t index = static_cast<size_t>(position / kPagePositions);
  ATTUNE_CHECK(index <= pages_.size());
  if (index == pages_.size()) {
    pages_.push_back(NewPage(layout.page_bytes, nullptr));
    addresses_.push_back(pages_.back().get());
  } else if (pages_[index].use_count() > 1) {
    pages_[index] = NewPage(layout.page_bytes, pages_[index].get());
    addresses_[index] = pages_[index].get();
  }
}

void KvCache::Write(const KvLayout& layout, int64_t layer, int64_t position, const float* k,
                    const float* v) {
  char* const page = pages_[static_cast<size_t>(position / kPagePositions)].get();
  StoreKeysAndValues(layout, position % kPagePositions, k, v, page + layout.keys_offset(layer),
                     page + layout.values_offset(layer));
}

}  // namespace attune
