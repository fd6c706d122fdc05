// For tests of operations under autograd: random inputs, and comparison with a formula.
#ifndef ATTUNE_TESTS_UNIT_WORKER_OP_TESTING_H_
#define ATTUNE_TESTS_UNIT_WORKER_OP_TESTING_H_

#include <cstdint>
#include <functional>
#include <vector>

#include <ATen/ATen.h>

#include "gtest/gtest.h"
#include "worker/autograd_ops.h"

namespace attune {

inline at::Tensor Random(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor values = at::empty(shape, at::kFloat);
  uint64_t state = seed * 2654435761u + 1;
  for (int64_t i = 0; i < values.numel(); ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    values.data_ptr<float>()[i] = static_cast<float>(state >> 40) / (1 << 23) - 1.0f;
  }
  return values;
}

using Op = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

// Of gradients that are computed with factors rounded to bf16, relative to the largest.
inline constexpr double kBf16Tolerance = 0.02;

// Values and all gradients of `op` (float) and `formula` (double) at the same inputs.
inline void ExpectSame(const Op& op, const Op& formula, const std::vector<at::Tensor>& inputs,
                       double tolerance = 1e-5) {
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
    EXPECT_LT(((floats[i].grad() - doubles[i].grad()).abs().max() / scale).item<double>(),
              tolerance)
        << "gradient of input " << i;
  }
}

inline at::Tensor Longs(const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong);
}

// One example.
inline at::Tensor Together(int64_t rows) { return Longs({0, rows}); }

// A gradient for `leaf`, which operations add to.
inline at::Tensor GradientOf(const at::Tensor& leaf) {
  return leaf.mutable_grad() = at::zeros_like(leaf, at::TensorOptions().dtype(at::kDouble));
}

// A map whose gradients are those of `weight`, and of `bias` if there is one: leaves.
inline LinearParameters Parameters(const at::Tensor& weight, const at::Tensor& bias = at::Tensor(),
                                   TensorType precision = TensorType::kF32) {
  LinearParameters linear;
  linear.weight_NK = weight.detach();
  linear.weight_gradient_NK = GradientOf(weight);
  if (bias.defined()) {
    linear.bias_N = bias.detach();
    linear.bias_gradient_N = GradientOf(bias);
  }
  linear.precision = precision;
  return linear;
}

// Rounded, with the gradient of what was not.
inline at::Tensor StraightThroughBf16(const at::Tensor& values) {
  return values + (values.to(at::kBFloat16).to(at::kDouble) - values).detach();
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_WORKER_OP_TESTING_H_
