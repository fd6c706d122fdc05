// Every operation against the same formula written with ATen and differentiated by it in float64.
#include "worker/autograd_ops.h"

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"

namespace attune {
namespace {

at::Tensor Random(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor values = at::empty(shape, at::kFloat);
  uint64_t state = seed * 2654435761u + 1;
  for (int64_t i = 0; i < values.numel(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values.data_ptr<float>()[i] = static_cast<float>(state >> 40) / (1 << 23) - 1.0f;
  }
  return values;
}

using Op = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Values and all gradients of `op` (float) and `formula` (double) at the same inputs.
void ExpectSame(const Op& op, const Op& formula, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> floats, doubles;
  for (const at::Tensor& input : inputs) {
    floats.push_back(input.clone().set_requires_grad(true));
    doubles.push_back(input.to(at::kDouble).set_requires_grad(true));
  }
  const at::Tensor actual = op(floats);
  const at::Tensor expected = formula(doubles);
  ASSERT_EQ(actual.sizes(), expected.sizes());
  EXPECT_LT((actual - expected).abs().max().item<double>(), 1e-5);
  const at::Tensor direction = Random(actual.sizes(), 99);
  (actual * direction).sum().backward();
  (expected * direction).sum().backward();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor scale = doubles[i].grad().abs().max() + 1e-3;
    EXPECT_LT(((floats[i].grad() - doubles[i].grad()).abs().max() / scale).item<double>(), 1e-5)
        << "gradient of input " << i;
  }
}

at::Tensor Longs(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

TEST(AutogradOpsTest, LinearAgreesWithItsFormula) {
  const at::Tensor weight = Random({5, 7}, 2);
  const PackedMatrix packed(weight.data_ptr<float>(), 5, 7);
  ExpectSame([&](const auto& in) { return LinearOp(in[0], in[1], packed); },
             [](const auto& in) { return at::mm(in[0], in[1].t()); }, {Random({3, 7}, 1), weight});
}

TEST(AutogradOpsTest, RmsNormAgreesWithItsFormula) {
  ExpectSame([](const auto& in) { return RmsNormOp(in[0], in[1], 1e-5); },
             [](const auto& in) {
               return in[0] * (in[0].square().mean(1, true) + 1e-5).rsqrt() * in[1];
             },
             {Random({4, 6}, 3), Random({6}, 4)});
}

TEST(AutogradOpsTest, RopeAgreesWithItsFormula) {
  const at::Tensor angles = Random({3, 2}, 5) * 3;
  const at::Tensor cos = angles.cos();
  const at::Tensor sin = angles.sin();
  ExpectSame([&](const auto& in) { return RopeOp(in[0], cos, sin); },
             [&](const auto& in) {
               const at::Tensor heads = in[0].view({3, 2, 4});
               const at::Tensor a = heads.narrow(2, 0, 2);
               const at::Tensor b = heads.narrow(2, 2, 2);
               const at::Tensor c = cos.to(at::kDouble).unsqueeze(1);
               const at::Tensor s = sin.to(at::kDouble).unsqueeze(1);
               return at::cat({a * c - b * s, b * c + a * s}, 2).view({3, 8});
             },
             {Random({3, 8}, 6)});
}

at::Tensor AttentionFormula(const std::vector<at::Tensor>& in, const std::vector<int64_t>& offsets,
                            const AttentionShape& shape) {
  std::vector<at::Tensor> sequences;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    const at::Tensor future =
        at::full({length, length}, -std::numeric_limits<double>::infinity(), at::kDouble).triu(1);
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t kv = h / (shape.heads / shape.kv_heads);
      const auto head = [&](const at::Tensor& all, int64_t index) {
        return all.narrow(0, offsets[s], length).narrow(1, index * shape.head_dim, shape.head_dim);
      };
      const at::Tensor scores =
          at::mm(head(in[0], h), head(in[1], kv).t()) / std::sqrt(shape.head_dim) + future;
      heads.push_back(at::mm(at::softmax(scores, 1), head(in[2], kv)));
    }
    sequences.push_back(at::cat(heads, 1));
  }
  return at::cat(sequences);
}

TEST(AutogradOpsTest, AttentionAgreesWithItsFormulaOnSeveralSequencesAndGroupedHeads) {
  const AttentionShape shape = {.heads = 4, .kv_heads = 2, .head_dim = 6};
  const std::vector<int64_t> offsets = {0, 5, 6, 40};
  const at::Tensor begins = Longs(offsets);
  ExpectSame([&](const auto& in) { return AttentionOp(in[0], in[1], in[2], begins, shape); },
             [&](const auto& in) { return AttentionFormula(in, offsets, shape); },
             {Random({40, 24}, 7), Random({40, 12}, 8), Random({40, 12}, 9)});
}

TEST(AutogradOpsTest, SiluMulAgreesWithItsFormula) {
  ExpectSame([](const auto& in) { return SiluMulOp(in[0], in[1]); },
             [](const auto& in) { return in[0] * at::sigmoid(in[0]) * in[1]; },
             {Random({4, 9}, 10) * 4, Random({4, 9}, 11)});
}

TEST(AutogradOpsTest, LogProbAgreesWithItsFormulaWithinAChunkAndOverManyChunks) {
  // A chunk holds 2^20 logits: one row of this vocabulary more than one.
  for (const auto& [rows, vocab] : {std::pair<int64_t, int64_t>{3, 11}, {5, 400'000}}) {
    const at::Tensor weight = Random({vocab, 2}, 12);
    const PackedMatrix packed(weight.data_ptr<float>(), vocab, 2);
    const at::Tensor targets = at::arange(rows, at::kLong) * (vocab / rows);
    ExpectSame([&](const auto& in) { return LogProbOp(in[0], in[1], packed, targets); },
               [&](const auto& in) {
                 return at::log_softmax(at::mm(in[0], in[1].t()), 1)
                     .gather(1, targets.unsqueeze(1))
                     .squeeze(1);
               },
               {Random({rows, 2}, 13), weight});
  }
}

}  // namespace
}  // namespace attune
