// How matrices and caches lie in memory, for the kernels and those who prepare their arguments.
#ifndef ATTUNE_MODEL_KERNELS_LAYOUT_H_
#define ATTUNE_MODEL_KERNELS_LAYOUT_H_

#include <cstdint>

namespace attune {

// Panels [begin, end) of a packed matrix.
struct PanelRange {
  int64_t begin;
  int64_t end;
};

// Positions whose keys and values lie together, in a page. Of each layer and key head a page has
//   keys    [head_dim][kPagePositions] floats, or [ceil(head_dim / 2)][kPagePositions] pairs of
//           bf16 (inputs 2 i and 2 i + 1),
//   values  [kPagePositions][width] floats, or [kPagePositions / 2][width] pairs of bf16 (positions
//           2 t and 2 t + 1), width being head_dim rounded up to kValueColumns.
inline constexpr int64_t kPagePositions = 32;
inline constexpr int64_t kValueColumns = 16;

// One row's attention: to positions [first, length), its own the last. Offsets are those of the
// layer within a page, in bytes.
struct AttendArguments {
  int64_t first;
  int64_t length;
  int64_t heads;
  int64_t kv_heads;  // head h reads kv head h / (heads / kv_heads)
  int64_t head_dim;
  float scale;    // of q . k
  float softcap;  // c: scores become c tanh(score / c); 0: they stay
  bool bf16;      // pages hold pairs of bf16, else floats
  int64_t keys_offset;
  int64_t values_offset;
};

}  // namespace attune

#endif  // ATTUNE_MODEL_KERNELS_LAYOUT_H_
