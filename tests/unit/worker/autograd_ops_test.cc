// Every operation against the same formula written with ATen and differentiated by it in float64.
#include "worker/autograd_ops.h"

#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "tests/unit/worker/op_testing.h"
#include "worker/attention_op.h"
#include "worker/pieces.h"
#include "worker/products.h"

namespace attune {
namespace {

TEST(AutogradOpsTest, LinearAgreesWithItsFormula) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        linear = Parameters(in[1], in[2]);
        return LinearOp(in[0], linear, Together(in[0].size(0)));
      },
      [](const auto& in) { return at::mm(in[0], in[1].t()) + in[2]; },
      {Random({3, 7}, 1), Random({5, 7}, 2), Random({5}, 3)});
}

TEST(AutogradOpsTest, LinearAgreesWithItsFormulaOverManyTiles) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        linear = Parameters(in[1]);
        return LinearOp(in[0], linear, Together(in[0].size(0)));
      },
      [](const auto& in) { return at::mm(in[0], in[1].t()); },
      {Random({300, 530}, 1) * 0.1, Random({520, 530}, 2) * 0.1});
}

TEST(AutogradOpsTest, LinearReadsAndTrainsAPartOfATransposedTensor) {
  LinearParameters linear;
  ExpectSame(
      [&](const auto& in) {
        const at::Tensor gradient = GradientOf(in[1]).add_(1);  // is added to what is there
        linear.weight_NK = in[1].detach().t().narrow(0, 2, 5);
        linear.weight_gradient_NK = gradient.t().narrow(0, 2, 5);
        return LinearOp(in[0], linear, Together(in[0].size(0)));
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
        return LinearOp(in[0], linear, Together(in[0].size(0)));
      },
      [](const auto& in) {
        return at::mm(StraightThroughBf16(in[0]), StraightThroughBf16(in[1]).t()) + in[2];
      },
      {Random({3, 7}, 1), Random({5, 7}, 2), Random({5}, 3)}, kBf16Tolerance);
}

TEST(AutogradOpsTest, EmbeddingAgreesWithItsFormula) {
  const at::Tensor ids = Longs({4, 0, 4, 2, 4});
  EmbeddingTable table;
  for (const TensorType precision : {TensorType::kF32, TensorType::kBf16}) {
    ExpectSame(
        [&](const auto& in) {
          table = {in[0].detach(), GradientOf(in[0]), precision};
          return EmbeddingOp(in[0], table, ids);
        },
        [&](const auto& in) {
          const bool rounds = precision == TensorType::kBf16;
          return at::index_select(rounds ? StraightThroughBf16(in[0]) : in[0], 0, ids);
        },
        {Random({6, 3}, 1)});
  }
}

TEST(AutogradOpsTest, RmsNormAgreesWithItsFormula) {
  NormParameters norm;
  for (const bool adds_one : {false, true}) {
    ExpectSame(
        [&](const auto& in) {
          norm = {in[1].detach(), GradientOf(in[1]), {}, {}, 1e-5, adds_one};
          return NormOp(in[0], norm);
        },
        [&](const auto& in) {
          const at::Tensor weight = adds_one ? in[1] + 1 : in[1];
          return in[0] * (in[0].square().mean(1, true) + 1e-5).rsqrt() * weight;
        },
        {Random({140, 6}, 3), Random({6}, 4)});
  }
}

TEST(AutogradOpsTest, LayerNormAgreesWithItsFormula) {
  NormParameters norm;
  ExpectSame(
      [&](const auto& in) {
        norm = {in[1].detach(), GradientOf(in[1]), in[2].detach(), GradientOf(in[2]), 1e-5};
        return NormOp(in[0] + 3, norm);
      },
      [](const auto& in) {
        const at::Tensor centred = in[0] - in[0].mean(1, true);
        return centred * (centred.square().mean(1, true) + 1e-5).rsqrt() * in[1] + in[2];
      },
      {Random({140, 6}, 3), Random({6}, 4), Random({6}, 5)});
}

TEST(AutogradOpsTest, SumsPassTheirGradientToBothTerms) {
  ExpectSame([](const auto& in) { return AddOp(in[0], in[1] * 2); },
             [](const auto& in) { return in[0] + in[1] * 2; },
             {Random({40, 9}, 3), Random({40, 9}, 4)});
}

// A weight's gradient is that of its examples one by one, to the bit; and so with any strides.
TEST(AutogradOpsTest, AnExampleAddsTheSameInAnyCompany) {
  const at::Tensor x = Random({50, 33}, 1), dy = Random({50, 70}, 2);
  for (const TensorType precision : {TensorType::kF32, TensorType::kBf16}) {
    const at::Tensor together = at::zeros({70, 33}, at::kDouble);
    const at::Tensor transposed = at::zeros({33, 70}, at::kDouble);
    const at::Tensor apart = at::zeros({70, 33}, at::kDouble);
    AddOuterProducts(dy, x, Longs({0, 20, 20, 49, 50}), precision, together);
    AddOuterProducts(dy, x, Longs({0, 20, 20, 49, 50}), precision, transposed.t());
    for (const auto& [begin, rows] : {std::pair<int64_t, int64_t>{49, 1}, {0, 20}, {20, 29}}) {
      AddOuterProducts(dy.narrow(0, begin, rows), x.narrow(0, begin, rows), Together(rows),
                       precision, apart);
    }
    EXPECT_TRUE(at::equal(together, apart));
    EXPECT_TRUE(at::allclose(transposed.t(), together, 1e-6, 1e-6));
  }
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
    const at::Tensor examples = Longs({0, 120, 300});
    const at::Tensor keys = LinearOp(x, k, examples);
    const at::Tensor attended = AttentionOp(
        LinearOp(x, q, examples), keys, keys, Longs({0, 100, -1, 100, 300, 0}).view({2, 3}),
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
