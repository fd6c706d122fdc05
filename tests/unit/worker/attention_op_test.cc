// Attention against the same formula written with ATen and differentiated by it in float64.
#include "worker/attention_op.h"

#include <limits>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/worker/op_testing.h"

namespace attune {
namespace {

struct Rows {
  int64_t begin, end, prefix;
};

// Every segment after a copy of its prefix; what the copy gives is dropped.
at::Tensor AttentionFormula(const std::vector<at::Tensor>& in, const std::vector<Rows>& segments,
                            const AttentionShape& shape, int64_t window) {
  std::vector<at::Tensor> sequences;
  for (const Rows& own : segments) {
    const Rows prefix = own.prefix < 0 ? Rows{0, 0, -1} : segments[own.prefix];
    const int64_t before = prefix.end - prefix.begin;
    const int64_t length = before + own.end - own.begin;
    at::Tensor seen = at::ones({length, length}, at::kBool).tril();
    if (window > 0) seen = seen.triu(1 - window);
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t kv = h / (shape.heads / shape.kv_heads);
      const auto head = [&](const at::Tensor& all, int64_t index) {
        return at::cat({all.narrow(0, prefix.begin, before),
                        all.narrow(0, own.begin, own.end - own.begin)})
            .narrow(1, index * shape.head_dim, shape.head_dim);
      };
      at::Tensor scores = at::mm(head(in[0], h), head(in[1], kv).t()) * shape.scale;
      if (shape.softcap > 0) scores = at::tanh(scores / shape.softcap) * shape.softcap;
      scores = scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
      heads.push_back(at::mm(at::softmax(scores, 1), head(in[2], kv)));
    }
    sequences.push_back(at::cat(heads, 1).narrow(0, before, length - before));
  }
  return at::cat(sequences);
}

// Several sequences, grouped heads; the longest has more rows than a block of scores, and two
// continue one prefix.
void ExpectAttentionAgrees(const AttentionShape& shape, int64_t window) {
  const std::vector<Rows> segments = {{0, 5, -1},    {5, 6, -1},    {6, 306, -1}, {306, 346, -1},
                                      {346, 353, 3}, {353, 353, 3}, {353, 620, 3}};
  std::vector<int64_t> numbers;
  for (const Rows& s : segments) numbers.insert(numbers.end(), {s.begin, s.end, s.prefix});
  const at::Tensor bounds = Longs(numbers).view({-1, 3});
  const int64_t rows = segments.back().end;
  ExpectSame(
      [&](const auto& in) { return AttentionOp(in[0], in[1], in[2], bounds, shape, window); },
      [&](const auto& in) { return AttentionFormula(in, segments, shape, window); },
      {Random({rows, shape.heads * shape.head_dim}, 7) * 2,
       Random({rows, shape.kv_heads * shape.head_dim}, 8) * 2,
       Random({rows, shape.kv_heads * shape.head_dim}, 9)});
}

constexpr AttentionShape kShape = {
    .heads = 4, .kv_heads = 2, .head_dim = 6, .scale = 0.4f, .softcap = 0};

TEST(AttentionOpTest, AttentionAgreesWithItsFormula) { ExpectAttentionAgrees(kShape, 0); }

TEST(AttentionOpTest, AttentionWithAWindowAgreesWithItsFormula) {
  ExpectAttentionAgrees(kShape, 1);
  ExpectAttentionAgrees(kShape, 3);
  ExpectAttentionAgrees(kShape, 270);
}

TEST(AttentionOpTest, AttentionWithASoftCapAgreesWithItsFormula) {
  AttentionShape shape = kShape;
  shape.softcap = 1.5f;
  ExpectAttentionAgrees(shape, 0);
  ExpectAttentionAgrees(shape, 7);
}

}  // namespace
}  // namespace attune
