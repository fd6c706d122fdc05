#include "model/weights.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<TensorToStore> TensorsOf(const ModelConfig& config, const std::vector<float>& weights) {
  std::vector<TensorToStore> tensors;
  for (const TensorSpec& spec : WeightLayout(config)) {
    tensors.push_back(
        {spec.name, spec.shape, absl::MakeConstSpan(weights).subspan(spec.offset, spec.size)});
  }
  return tensors;
}

class WeightsTest : public ::testing::Test {
 protected:
  void WriteTensors(const std::string& file, const std::vector<TensorToStore>& tensors) {
    ASSERT_OK(WriteFile(directory_.File(file), SerializeSafetensors(tensors)));
  }
  absl::StatusOr<std::vector<float>> Load(const ModelConfig& config) {
    return LoadWeights(directory_.path(), config);
  }

  ScratchDirectory directory_;
  const ModelConfig tied_ = TinyConfig(true);
  const ModelConfig untied_ = TinyConfig(false);
  const std::vector<float> tied_weights_ = TinyWeights(tied_, 1);
  const std::vector<float> untied_weights_ = TinyWeights(untied_, 2);
};

TEST_F(WeightsTest, LayoutIsSortedByNameAndWithoutGaps) {
  ModelConfig config = untied_;
  config.num_layers = 11;  // layer 10 sorts before layer 2
  const std::vector<TensorSpec> layout = WeightLayout(config);
  EXPECT_EQ(3u + 11 * 9, layout.size());
  int64_t offset = 0;
  for (size_t i = 0; i < layout.size(); ++i) {
    EXPECT_TRUE(i == 0 || layout[i - 1].name < layout[i].name) << layout[i].name;
    EXPECT_EQ(offset, layout[i].offset);
    offset += layout[i].size;
  }
  EXPECT_EQ(offset, WeightCount(layout));
  EXPECT_EQ(std::vector<int64_t>({20, 48}),
            FindTensor(layout, "model.layers.10.self_attn.k_proj.weight").shape);
  EXPECT_EQ("lm_head.weight", layout[0].name);
  EXPECT_EQ("model.embed_tokens.weight", WeightLayout(tied_)[0].name);
}

TEST_F(WeightsTest, LoadsOneFile) {
  WriteTensors("model.safetensors", TensorsOf(untied_, untied_weights_));
  EXPECT_EQ(untied_weights_, *Load(untied_));
}

TEST_F(WeightsTest, LoadsShards) {
  std::vector<TensorToStore> first, second;
  nlohmann::json map;
  for (const TensorToStore& tensor : TensorsOf(tied_, tied_weights_)) {
    const bool early = first.size() < 5;
    (early ? first : second).push_back(tensor);
    map[tensor.name] = early ? "model-1.safetensors" : "model-2.safetensors";
  }
  WriteTensors("model-1.safetensors", first);
  WriteTensors("model-2.safetensors", second);
  const std::string index = directory_.File("model.safetensors.index.json");
  ASSERT_OK(WriteFile(index, nlohmann::json{{"weight_map", map}}.dump()));
  EXPECT_EQ(tied_weights_, *Load(tied_));

  map[first[0].name] = "model-2.safetensors";
  ASSERT_OK(WriteFile(index, nlohmann::json{{"weight_map", map}}.dump()));
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "is not in model-2.safetensors, where"));
  map[first[0].name] = "../model-1.safetensors";
  ASSERT_OK(WriteFile(index, nlohmann::json{{"weight_map", map}}.dump()));
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "is not in a .safetensors file beside it"));
  ASSERT_OK(WriteFile(index, "{\"weight_map\": 3}"));
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "with a weight_map"));
}

TEST_F(WeightsTest, TiedEmbeddingsMayBeStoredUnderEitherName) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  ASSERT_EQ("model.embed_tokens.weight", tensors[0].name);
  tensors[0].name = "lm_head.weight";
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(tied_weights_, *Load(tied_));
  tensors.push_back(TensorsOf(tied_, tied_weights_)[0]);  // under both
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(tied_weights_, *Load(tied_));
  const std::vector<float> other = RandomFloats(tensors[0].values.size(), 9);
  tensors[0].values = other;
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "lm_head.weight differs"));
}

TEST_F(WeightsTest, NamesWhatIsMissingSurplusOrMisshapen) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  tensors.pop_back();
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "tensor model.norm.weight is missing"));

  tensors = TensorsOf(tied_, tied_weights_);
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", {1}, tensors[0].values.subspan(0, 1)});
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "q_proj.bias is no part of the model"));

  tensors = TensorsOf(tied_, tied_weights_);
  std::swap(tensors[0].shape[0], tensors[0].shape[1]);
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid,
                                    "has the shape [48, 101], but config.json makes it "
                                    "[101, 48]"));
}

TEST_F(WeightsTest, IgnoresStoredRotaryFrequencies) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  tensors.push_back(
      {"model.layers.0.self_attn.rotary_emb.inv_freq", {5}, tensors[0].values.subspan(0, 5)});
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(tied_weights_, *Load(tied_));
}

TEST_F(WeightsTest, RefusesPickledWeightsAndSaysHowToConvert) {
  ASSERT_OK(WriteFile(directory_.File("pytorch_model.bin"), "PK"));
  EXPECT_THAT(Load(tied_), StatusIs(kInvalid, "safe_serialization=True"));
}

TEST_F(WeightsTest, NamesTheFileThatIsNotThere) {
  EXPECT_THAT(Load(tied_), StatusIs(absl::StatusCode::kNotFound, "model.safetensors"));
}

TEST_F(WeightsTest, DigestDependsOnValuesNamesAndShapes) {
  std::vector<TensorSpec> layout = WeightLayout(tied_);
  const std::string digest = WeightsDigest(layout, tied_weights_);
  EXPECT_EQ(64u, digest.size());
  std::vector<float> changed = tied_weights_;
  changed.back() = -changed.back();
  EXPECT_NE(digest, WeightsDigest(layout, changed));
  std::swap(layout[0].shape[0], layout[0].shape[1]);
  EXPECT_NE(digest, WeightsDigest(layout, tied_weights_));
}

class SaveCheckpointTest : public WeightsTest {
 protected:
  void SetUp() override {
    source_ = directory_.File("source");
    target_ = directory_.File("target");
    ASSERT_OK(CreateDirectories(source_));
    ASSERT_OK(WriteModel(source_, untied_, untied_weights_));
    ASSERT_OK(WriteFile(JoinPath(source_, "tokenizer.json"), "{}"));
    ASSERT_OK(WriteFile(JoinPath(source_, "README.md"), "not for the copy"));
  }

  std::string source_;
  std::string target_;
};

TEST_F(SaveCheckpointTest, ReadsBackWithTheSameDigest) {
  const std::vector<float> trained = TinyWeights(untied_, 3);
  ASSERT_OK(SaveCheckpoint(target_, source_, untied_, trained, "{\"round\": 3}"));
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, LoadModelConfig(target_));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> weights, LoadWeights(target_, config));
  EXPECT_EQ(trained, weights);
  EXPECT_EQ(WeightsDigest(WeightLayout(untied_), trained),
            WeightsDigest(WeightLayout(config), weights));
  EXPECT_EQ(std::vector<std::string>(
                {"attune.json", "config.json", "model.safetensors", "tokenizer.json"}),
            *ListDirectory(target_));
  EXPECT_EQ("{\"round\": 3}", *ReadFile(JoinPath(target_, "attune.json")));
  const auto json = nlohmann::json::parse(*ReadFile(JoinPath(target_, "config.json")));
  EXPECT_EQ("float32", json["torch_dtype"]);
}

TEST_F(SaveCheckpointTest, RefusesToOverwrite) {
  ASSERT_OK(CreateDirectories(target_));
  EXPECT_THAT(SaveCheckpoint(target_, source_, untied_, untied_weights_, "{}"),
              StatusIs(absl::StatusCode::kAlreadyExists, target_));
}

TEST_F(SaveCheckpointTest, LeavesNothingBehindWhenItFails) {
  EXPECT_FALSE(
      SaveCheckpoint(target_, directory_.File("nowhere"), untied_, untied_weights_, "{}").ok());
  EXPECT_EQ(std::vector<std::string>({"source"}), *ListDirectory(directory_.path()));
}

TEST_F(SaveCheckpointTest, RefusesASourceOfAnotherShape) {
  EXPECT_FALSE(SaveCheckpoint(target_, source_, tied_, tied_weights_, "{}").ok());
  EXPECT_FALSE(DirectoryExists(target_));
}

}  // namespace
}  // namespace attune
