#include "worker/lora.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/worker/sequences.h"
#include "worker/differentiable_model.h"
#include "worker/pieces.h"

namespace attune {
namespace {

using testing::ElementsAre;

const std::vector<std::string> kLlamaTargets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                "gate_proj", "up_proj", "down_proj"};
const std::vector<std::string> kGpt2Targets = {"c_attn", "c_proj", "c_fc"};

LoraLayout LayoutOf(const ModelConfig& config, int64_t r = 3, double alpha = 6) {
  const bool gpt2 = config.naming == TensorNaming::kGpt2;
  return LoraLayoutOf({r, alpha, gpt2 ? kGpt2Targets : kLlamaTargets}, config).value();
}

// TinyGpt2Config is of layouts alone: it has the rotary angles of another head size.
ModelConfig ComputableGpt2Config() {
  ModelConfig config = TinyGpt2Config();
  config.rope.frequencies.clear();
  config.attention_scale = 1 / std::sqrt(static_cast<float>(config.head_dim));
  return config;
}

// The sum of the log-probabilities of a response, and its gradient by the weights.
class Scored {
 public:
  explicit Scored(const ModelConfig& config)
      : config_(config), base_(TinyWeights(config, 3)), weights_(base_), gradient_(base_.size()) {}

  double Of(const LoraLayout& layout, const std::vector<float>& adapter) {
    MergeAdapter(layout, base_, adapter, absl::MakeSpan(weights_));
    const DifferentiableModel model(config_, absl::MakeSpan(weights_), absl::Span<double>());
    return model.TokenLogProbs(batch_).to(at::kDouble).sum().item<double>();
  }

  std::vector<double> GradientOf(const LoraLayout& layout, const std::vector<float>& adapter) {
    MergeAdapter(layout, base_, adapter, absl::MakeSpan(weights_));
    const DifferentiableModel model(config_, absl::MakeSpan(weights_), absl::MakeSpan(gradient_));
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    model.TokenLogProbs(batch_).sum().backward();
    return {gradient_.begin(), gradient_.end()};
  }

  const std::vector<float>& base() const { return base_; }
  const std::vector<float>& weights() const { return weights_; }

 private:
  const ModelConfig config_;
  const std::vector<float> base_;
  std::vector<float> weights_;
  std::vector<double> gradient_;
  const std::vector<Sequence> sequences_ = {{{5, 17, 3}, {9, 44, 2, 8}}, {{71, 1}, {6, 6, 90}}};
  const PackedSequences batch_ = Pack(sequences_);
};

class LoraOfTest : public testing::TestWithParam<bool> {
 protected:
  const ModelConfig config_ = GetParam() ? ComputableGpt2Config() : TinyConfig(true);
};
INSTANTIATE_TEST_SUITE_P(Models, LoraOfTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Gpt2" : "Llama"; });

TEST_P(LoraOfTest, GradientsAreThoseOfFiniteDifferences) {
  const LoraLayout layout = LayoutOf(config_);
  std::vector<float> adapter = InitialAdapter(layout, 7, "fast");
  for (const LoraModule& module : layout.modules) {
    const auto b = RandomFloats(module.outputs * layout.options.r, module.b, 0.05f);
    std::copy(b.begin(), b.end(), adapter.begin() + module.b);
  }
  Scored scored(config_);
  std::vector<double> gradients(adapter.size());
  AddAdapterGradients(layout, adapter, scored.GradientOf(layout, adapter),
                      absl::MakeSpan(gradients));
  for (const TensorSpec& tensor : layout.tensors) {  // each factor alone, along its own gradient
    double squares = 0;
    for (int64_t i = 0; i < tensor.size; ++i) squares += std::pow(gradients[tensor.offset + i], 2);
    const double norm = std::sqrt(squares);
    ASSERT_GT(norm, 1e-3) << tensor.name;
    const double step = 0.02 / std::sqrt(norm);
    const auto at = [&](double distance) {
      std::vector<float> moved = adapter;
      for (int64_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
        moved[i] += static_cast<float>(distance * gradients[i] / norm);
      }
      return scored.Of(layout, moved);
    };
    EXPECT_NEAR((at(step) - at(-step)) / (2 * step), norm, 0.01 * norm + 1e-3) << tensor.name;
  }
}

TEST_P(LoraOfTest, ANewAdapterLeavesThePolicyAsItIsToTheBit) {
  const LoraLayout layout = LayoutOf(config_);
  std::vector<float> base = TinyWeights(config_, 3);
  base[layout.modules[0].offset] = -0.0f;
  std::vector<float> merged(base.size(), 1.0f);
  std::copy(base.begin(), base.end(), merged.begin());
  MergeAdapter(layout, base, InitialAdapter(layout, 7, "fast"), absl::MakeSpan(merged));
  EXPECT_EQ(std::memcmp(base.data(), merged.data(), base.size() * sizeof(float)), 0);
}

// With as many ranks as inputs, A the identity and s = 1, the adapter is the change of the weight,
// and learns what full fine-tuning learns.
TEST_P(LoraOfTest, OfFullRankLearnsWhatFullFineTuningLearns) {
  for (const std::string& target : GetParam() ? kGpt2Targets : kLlamaTargets) {
    const bool inner = target == "down_proj";
    const int64_t r = inner                ? config_.intermediate_size
                      : target == "o_proj" ? config_.q_size()
                                           : config_.hidden_size;
    const LoraLayout layout = LoraLayoutOf({r, static_cast<double>(r), {target}}, config_).value();
    const LoraModule& module = layout.modules[0];
    if (module.inputs != r) continue;  // one of the two c_proj of GPT-2
    std::vector<float> adapter(WeightCount(layout.tensors));
    for (int64_t k = 0; k < r; ++k) adapter[module.a + k * r + k] = 1;
    Scored scored(config_);
    const std::vector<double> dw = scored.GradientOf(layout, adapter);
    std::vector<double> gradients(adapter.size());
    AddAdapterGradients(layout, adapter, dw, absl::MakeSpan(gradients));
    for (int64_t o = 0; o < module.outputs; ++o) {
      for (int64_t i = 0; i < r; ++i) {
        const int64_t at = module.offset + o * module.output_stride + i * module.input_stride;
        ASSERT_EQ(gradients[module.b + o * r + i], dw[at]) << target << " " << o << " " << i;
        adapter[module.b + o * r + i] = static_cast<float>(-0.1 * dw[at]);
      }
    }
    scored.Of(layout, adapter);
    const int64_t at = module.offset + module.output_stride + 2 * module.input_stride;
    EXPECT_NEAR(scored.weights()[at], scored.base()[at] - 0.1 * dw[at], 1e-6) << target;
  }
}

TEST_P(LoraOfTest, ThreadsChangeNothing) {
  const LoraLayout layout = LayoutOf(config_);
  const std::vector<float> base = TinyWeights(config_, 3);
  const std::vector<float> adapter = RandomFloats(WeightCount(layout.tensors), 5);
  const std::vector<float> dw = RandomFloats(base.size(), 6);
  const std::vector<double> gradients_of_weights(dw.begin(), dw.end());
  std::vector<std::vector<float>> merged;
  std::vector<std::vector<double>> gradients;
  for (int threads : {1, 3}) {
    SetPieceThreads(threads);
    MergeAdapter(layout, base, adapter, absl::MakeSpan(merged.emplace_back(base)));
    AddAdapterGradients(layout, adapter, gradients_of_weights,
                        absl::MakeSpan(gradients.emplace_back(adapter.size())));
  }
  SetPieceThreads(1);
  EXPECT_EQ(merged[0], merged[1]);
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_NE(merged[0], base);
}

TEST(LoraTest, HasPeftsNamesAndShapes) {
  const ModelConfig config = TinyConfig(true);
  const LoraLayout layout = LoraLayoutOf({4, 8, {"q_proj", "down_proj"}}, config).value();
  EXPECT_EQ(layout.scale(), 2);
  ASSERT_EQ(layout.modules.size(), 4u);
  ASSERT_EQ(layout.tensors.size(), 8u);
  EXPECT_EQ(layout.tensors[0].name, "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight");
  EXPECT_THAT(layout.tensors[0].shape, ElementsAre(4, 70));
  EXPECT_THAT(layout.tensors[1].shape, ElementsAre(48, 4));
  EXPECT_EQ(layout.tensors[7].name,
            "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight");
  EXPECT_THAT(layout.tensors[7].shape, ElementsAre(60, 4));
}

TEST(LoraTest, GivesMapsThatAreStoredAsOneTensorOneAdapter) {
  const ModelConfig config = TinyGpt2Config();
  const LoraLayout layout = LoraLayoutOf({2, 2, {"c_attn", "c_proj"}}, config).value();
  EXPECT_TRUE(layout.transposed);
  ASSERT_EQ(layout.modules.size(), 6u);  // of each layer: attention, its output and the MLP's
  EXPECT_EQ(layout.modules[0].name, "transformer.h.0.attn.c_attn");
  EXPECT_EQ(layout.modules[0].outputs, 3 * config.hidden_size);
}

TEST(LoraTest, RefusesTargetsThatTheModelLacks) {
  EXPECT_THAT(LoraLayoutOf({2, 2, {"c_fc", "q_proj"}}, TinyGpt2Config()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "has q_proj, but the model has no linear weight of that name; must be of "
                       "c_attn, c_fc, c_proj"));
  EXPECT_THAT(LoraLayoutOf({2, 2, {"embed_tokens"}}, TinyConfig(false)),
              StatusIs(absl::StatusCode::kInvalidArgument, "lm_head"));
}

TEST(LoraTest, DrawsByTensorNameWithinPeftsBounds) {
  const ModelConfig config = TinyConfig(true);
  const LoraLayout layout = LayoutOf(config);
  const LoraLayout alone = LoraLayoutOf({3, 6, {"o_proj"}}, config).value();
  const std::vector<float> all = InitialAdapter(layout, 7, "fast");
  const std::vector<float> one = InitialAdapter(alone, 7, "fast");
  const TensorSpec& a = alone.tensors[0];
  const TensorSpec& same = FindTensor(layout.tensors, a.name);
  EXPECT_TRUE(std::equal(&one[a.offset], &one[a.offset] + a.size, &all[same.offset]));
  const float limit = 1 / std::sqrt(60.0f);
  const auto [low, high] = std::minmax_element(&one[a.offset], &one[a.offset] + a.size);
  EXPECT_GE(*low, -limit);
  EXPECT_LT(*low, -0.9f * limit);
  EXPECT_LE(*high, limit);
  EXPECT_GT(*high, 0.9f * limit);
  const TensorSpec& b = alone.tensors[1];
  EXPECT_TRUE(std::all_of(&one[b.offset], &one[b.offset] + b.size, [](float x) { return x == 0; }));
  EXPECT_NE(one, InitialAdapter(alone, 8, "fast"));
  EXPECT_NE(one, InitialAdapter(alone, 7, "slow"));
}

}  // namespace
}  // namespace attune
