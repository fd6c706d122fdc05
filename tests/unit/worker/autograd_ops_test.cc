// Every operation against the same formula written with ATen and differentiated by it in float64.
#include "worker/autograd_ops.h"

#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/worker/op_testing.h"
#include "worker/pieces.h"

namespace attune {
namespace {

TEST(AutogradOpsTest, LinearAgreesWithItsFormula) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        linear = Parameters(in[1], in[2]);
        return LinearOp(in[0], linear);
      },
      [](const auto& in) { return at::mm(in[0], in[1].t()) + in[2]; },
      {Random({3, 7}, 1), Random({5, 7}, 2), Random({5}, 3)});
}

TEST(AutogradOpsTest, LinearAgreesWithItsFormulaOverManyTiles) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        linear = Parameters(in[1]);
        return LinearOp(in[0], linear);
      },
      [](const auto& in) { return at::mm(in[0], in[1].t()); },
      {Random({300, 530}, 1) * 0.1, Random({520, 530}, 2) * 0.1});
}

TEST(AutogradOpsTest, LinearReadsAndTrainsAPartOfATransposedTensor) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        in[1].mutable_grad() = at::ones_like(in[1]);  // gradients are added to what is there
        linear.weight_NK = in[1].detach().t().narrow(0, 2, 5);
        linear.weight_gradient_NK = in[1].grad().t().narrow(0, 2, 5);
        linear.Pack(TensorType::kF32);
        return LinearOp(in[0], linear);
      },
      [](const auto& in) {
        in[1].mutable_grad() = at::ones_like(in[1]);
        return at::mm(in[0], in[1].narrow(1, 2, 5));
      },
      {Random({3, 7}, 1), Random({7, 9}, 2)});
}

TEST(AutogradOpsTest, LinearInBf16IsDifferentiatedAsItWasComputed) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        linear = Parameters(in[1], in[2], TensorType::kBf16);
        return LinearOp(in[0], linear);
      },
      [](const auto& in) {
        return at::mm(StraightThroughBf16(in[0]), StraightThroughBf16(in[1]).t()) + in[2];
      },
      {Random({3, 7}, 1), Random({5, 7}, 2), Random({5}, 3)});
}

TEST(AutogradOpsTest, EmbeddingAgreesWithItsFormula) {
  const at::Tensor ids = Longs({4, 0, 4, 2, 4});
  for (const TensorType precision : {TensorType::kF32, TensorType::kBf16}) {
    ExpectSame(
        [&](const auto& in) {
          in[0].mutable_grad() = at::zeros_like(in[0]);
          return EmbeddingOp(in[0], ids, precision);
        },
        [&](const auto& in) {
          const bool rounds = precision == TensorType::kBf16;
          return at::index_select(rounds ? StraightThroughBf16(in[0]) : in[0], 0, ids);
        },
        {Random({6, 3}, 1)});
  }
}

TEST(AutogradOpsTest, RmsNormAgreesWithItsFormula) {
  ExpectSame(
      [](const auto& in) { return RmsNormOp(in[0], in[1], 1e-5); },
      [](const auto& in) { return in[0] * (in[0].square().mean(1, true) + 1e-5).rsqrt() * in[1]; },
      {Random({4, 6}, 3), Random({6}, 4)});
}

TEST(AutogradOpsTest, LayerNormAgreesWithItsFormula) {
  ExpectSame([](const auto& in) { return LayerNormOp(in[0] + 3, in[1], in[2], 1e-5); },
             [](const auto& in) {
               const at::Tensor centred = in[0] - in[0].mean(1, true);
               return centred * (centred.square().mean(1, true) + 1e-5).rsqrt() * in[1] + in[2];
             },
             {Random({4, 6}, 3), Random({6}, 4), Random({6}, 5)});
}

TEST(AutogradOpsTest, RopeAgreesWithItsFormulaAndLeavesTheRestOfAHeadAlone) {
  const at::Tensor angles = Random({3, 2}, 5) * 3;
  const at::Tensor cos = angles.cos() * 1.25;
  const at::Tensor sin = angles.sin() * 1.25;
  ExpectSame(
      [&](const auto& in) { return RopeOp(in[0], cos, sin, /*head_dim=*/5); },
      [&](const auto& in) {
        const at::Tensor heads = in[0].view({3, 2, 5});
        const at::Tensor a = heads.narrow(2, 0, 2);
        const at::Tensor b = heads.narrow(2, 2, 2);
        const at::Tensor c = cos.to(at::kDouble).unsqueeze(1);
        const at::Tensor s = sin.to(at::kDouble).unsqueeze(1);
        return at::cat({a * c - b * s, b * c + a * s, heads.narrow(2, 4, 1)}, 2).view({3, 10});
      },
      {Random({3, 10}, 6)});
}

at::Tensor AttentionFormula(const std::vector<at::Tensor>& in, const std::vector<int64_t>& offsets,
                            const AttentionShape& shape, int64_t window) {
  std::vector<at::Tensor> sequences;
  for (size_t s = 0; s + 1 < offsets.size(); ++s) {
    const int64_t length = offsets[s + 1] - offsets[s];
    at::Tensor seen = at::ones({length, length}, at::kBool).tril();
    if (window > 0) seen = seen.triu(1 - window);
    std::vector<at::Tensor> heads;
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t kv = h / (shape.heads / shape.kv_heads);
      const auto head = [&](const at::Tensor& all, int64_t index) {
        return all.narrow(0, offsets[s], length).narrow(1, index * shape.head_dim, shape.head_dim);
      };
      at::Tensor scores = at::mm(head(in[0], h), head(in[1], kv).t()) * shape.scale;
      if (shape.softcap > 0) scores = at::tanh(scores / shape.softcap) * shape.softcap;
      scores = scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity());
      heads.push_back(at::mm(at::softmax(scores, 1), head(in[2], kv)));
    }
    sequences.push_back(at::cat(heads, 1));
  }
  return at::cat(sequences);
}

// Several sequences, grouped heads; the longest sequence has more rows than a block of scores.
void ExpectAttentionAgrees(const AttentionShape& shape, int64_t window) {
  const std::vector<int64_t> offsets = {0, 5, 6, 306};
  const at::Tensor begins = Longs(offsets);
  const int64_t rows = offsets.back();
  ExpectSame(
      [&](const auto& in) { return AttentionOp(in[0], in[1], in[2], begins, shape, window); },
      [&](const auto& in) { return AttentionFormula(in, offsets, shape, window); },
      {Random({rows, shape.heads * shape.head_dim}, 7) * 2,
       Random({rows, shape.kv_heads * shape.head_dim}, 8) * 2,
       Random({rows, shape.kv_heads * shape.head_dim}, 9)});
}

constexpr AttentionShape kShape = {
    .heads = 4, .kv_heads = 2, .head_dim = 6, .scale = 0.4f, .softcap = 0};

TEST(AutogradOpsTest, AttentionAgreesWithItsFormula) { ExpectAttentionAgrees(kShape, 0); }

TEST(AutogradOpsTest, AttentionWithAWindowAgreesWithItsFormula) {
  ExpectAttentionAgrees(kShape, 1);
  ExpectAttentionAgrees(kShape, 3);
  ExpectAttentionAgrees(kShape, 270);
}

TEST(AutogradOpsTest, AttentionWithASoftCapAgreesWithItsFormula) {
  AttentionShape shape = kShape;
  shape.softcap = 1.5f;
  ExpectAttentionAgrees(shape, 0);
  ExpectAttentionAgrees(shape, 7);
}

TEST(AutogradOpsTest, ActivationsAgreeWithTheirFormulas) {
  const auto silu = [](const at::Tensor& x) { return x * at::sigmoid(x); };
  const auto gelu = [](const at::Tensor& x) {
    return 0.5 * x * (1 + at::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  };
  const std::vector<at::Tensor> inputs = {Random({40, 9}, 10) * 4, Random({40, 9}, 11)};
  const auto expect_same = [&](Activation activation, auto formula) {
    ExpectSame([&](const auto& in) { return ActivateOp(activation, in[0], in[1]); },
               [&](const auto& in) { return formula(in[0]) * in[1]; }, inputs);
    ExpectSame([&](const auto& in) { return ActivateOp(activation, in[0], at::Tensor()); },
               [&](const auto& in) { return formula(in[0]); }, {inputs[0]});
  };
  expect_same(Activation::kSilu, silu);
  expect_same(Activation::kGeluTanh, gelu);
}

TEST(AutogradOpsTest, NumbersDoNotDependOnTheNumberOfThreads) {
  const auto run = [](int threads) {
    SetPieceThreads(threads);
    const at::Tensor x = Random({300, 48}, 1).set_requires_grad(true);
    const LinearParameters q = Parameters(Random({512, 48}, 2));
    const LinearParameters k = Parameters(Random({128, 48}, 3));
    const at::Tensor keys = LinearOp(x, k);
    const at::Tensor attended =
        AttentionOp(LinearOp(x, q), keys, keys, Longs({0, 100, 300}),
                    {.heads = 8, .kv_heads = 2, .head_dim = 64, .scale = 0.1f, .softcap = 0}, 90);
    attended.sum().backward();
    SetPieceThreads(1);
    return std::vector<at::Tensor>{attended.detach(), x.grad(), q.weight_gradient_NK,
                                   k.weight_gradient_NK};
  };
  const std::vector<at::Tensor> one = run(1);
  const std::vector<at::Tensor> three = run(3);
  for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

}  // namespace
}  // namespace attune
