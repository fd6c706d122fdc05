#include "model/weights.h"

#include <string>
#include <utility>
#include <vector>

#include "common/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

class WeightsTest : public ::testing::Test {
 protected:
  ScratchDirectory directory_;
  const ModelConfig tied_ = TinyConfig(true);
  const ModelConfig untied_ = TinyConfig(false);
  const std::vector<float> tied_weights_ = TinyWeights(tied_, 1);
  const std::vector<float> untied_weights_ = TinyWeights(untied_, 2);
};

TEST_F(WeightsTest, LoadsAllTensorsInOrder) {
  ASSERT_OK(WriteModel(directory_.path(), untied_, untied_weights_));
  EXPECT_EQ(untied_weights_, *LoadWeights(directory_.path(), untied_));
}

TEST_F(WeightsTest, NamesTheDirectoryWithoutWeights) {
  EXPECT_THAT(LoadWeights(directory_.path(), tied_),
              StatusIs(absl::StatusCode::kNotFound, directory_.path()));
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

// Digests are kept in jobs and checkpoints: they may never change.
TEST_F(WeightsTest, DigestOfTheShippedModelIsWhatItWas) {
  const std::string directory = ATTUNE_SOURCE_DIR "/models/stories260k";
  ASSERT_OK_AND_ASSIGN(const ModelConfig config, LoadModelConfig(directory));
  ASSERT_OK_AND_ASSIGN(const std::vector<float> weights, LoadWeights(directory, config));
  EXPECT_EQ("f53f0740818a3bda4654b5c1ae7f0e3dff1d93ad59d8630d1f47efca2fb1a0ea",
            WeightsDigest(WeightLayout(config), weights));
}

TEST_F(WeightsTest, DigestOfFilesIsThatOfTheirValues) {
  const std::vector<TensorSpec> layout = WeightLayout(tied_);
  std::vector<uint16_t> halves(tied_weights_.size());
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i * 40503);
  for (const TensorType type : {TensorType::kF32, TensorType::kBf16, TensorType::kF16}) {
    const TensorView all = type == TensorType::kF32
                               ? ViewOf(tied_weights_.data())
                               : TensorView{type, reinterpret_cast<const char*>(halves.data())};
    std::vector<TensorToStore> tensors;
    for (const TensorSpec& spec : layout) {
      tensors.push_back({spec.name, spec.shape, all.From(spec.offset)});
    }
    ASSERT_OK(RemoveAll(directory_.File("model.safetensors")));
    ASSERT_OK(WriteWeightFiles(directory_.path(), tensors));
    ASSERT_OK_AND_ASSIGN(const WeightFiles files, WeightFiles::Open(directory_.path(), tied_));
    ASSERT_OK_AND_ASSIGN(const std::vector<float> loaded, LoadWeights(directory_.path(), tied_));
    EXPECT_EQ(WeightsDigest(layout, loaded), WeightsDigest(layout, files));
  }
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

TEST_F(SaveCheckpointTest, SplitsAModelAboveTheLimit) {
  ASSERT_OK(SaveCheckpoint(target_, source_, untied_, untied_weights_, "{}", 60'000));
  EXPECT_TRUE(FileExists(JoinPath(target_, "model-00004-of-00004.safetensors")));
  EXPECT_FALSE(FileExists(JoinPath(target_, "model.safetensors")));
  EXPECT_EQ(untied_weights_, *LoadWeights(target_, untied_));
}

TEST_F(SaveCheckpointTest, StoresTiedWeightsOnce) {
  const std::string source = directory_.File("tied");
  ASSERT_OK(CreateDirectories(source));
  ASSERT_OK(WriteModel(source, tied_, tied_weights_));
  ASSERT_OK(SaveCheckpoint(target_, source, tied_, tied_weights_, "{}"));
  ASSERT_OK_AND_ASSIGN(const auto file,
                       SafetensorsFile::Open(JoinPath(target_, "model.safetensors")));
  EXPECT_EQ(1u, file->index().count("model.embed_tokens.weight"));
  EXPECT_EQ(0u, file->index().count("lm_head.weight"));
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
