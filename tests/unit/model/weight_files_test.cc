#include "model/weight_files.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/layout.h"
#include "model/weights.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::ElementsAre;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::vector<TensorToStore> TensorsOf(const ModelConfig& config, const std::vector<float>& weights) {
  std::vector<TensorToStore> tensors;
  for (const TensorSpec& spec : WeightLayout(config)) {
    tensors.push_back({spec.name, spec.shape, ViewOf(&weights[spec.offset])});
  }
  return tensors;
}

class WeightFilesTest : public ::testing::Test {
 protected:
  void WriteTensors(const std::string& file, const std::vector<TensorToStore>& tensors) {
    // Earlier files may still be mapped.
    ASSERT_OK(RemoveAll(directory_.File(file)));
    ASSERT_OK(WriteSafetensors(directory_.File(file), tensors));
  }
  void WriteIndex(const nlohmann::json& weight_map) {
    ASSERT_OK(WriteFile(directory_.File("model.safetensors.index.json"),
                        nlohmann::json{{"weight_map", weight_map}}.dump()));
  }
  absl::StatusOr<WeightFiles> Open(const ModelConfig& config) {
    return WeightFiles::Open(directory_.path(), config);
  }
  // All values, through LoadWeights.
  std::vector<float> Load(const ModelConfig& config) {
    const auto weights = LoadWeights(directory_.path(), config);
    EXPECT_OK(weights);
    return weights.ok() ? *weights : std::vector<float>();
  }

  ScratchDirectory directory_;
  const ModelConfig tied_ = TinyConfig(true);
  const ModelConfig untied_ = TinyConfig(false);
  const ModelConfig gpt2_ = TinyGpt2Config();
  const std::vector<float> tied_weights_ = TinyWeights(tied_, 1);
  const std::vector<float> untied_weights_ = TinyWeights(untied_, 2);
  const std::vector<float> gpt2_weights_ = TinyWeights(gpt2_, 3);
};

TEST_F(WeightFilesTest, ReadsOneFile) {
  WriteTensors("model.safetensors", TensorsOf(untied_, untied_weights_));
  ASSERT_OK_AND_ASSIGN(const WeightFiles files, Open(untied_));
  for (const TensorSpec& spec : WeightLayout(untied_)) {
    const TensorView view = files.View(spec.name);
    ASSERT_EQ(TensorType::kF32, view.type);
    for (int64_t i = 0; i < spec.size; ++i) {
      ASSERT_EQ(untied_weights_[spec.offset + i], view.At(i)) << spec.name << " " << i;
    }
  }
}

TEST_F(WeightFilesTest, ReadsShards) {
  std::vector<TensorToStore> first, second;
  nlohmann::json map;
  for (const TensorToStore& tensor : TensorsOf(tied_, tied_weights_)) {
    const bool early = first.size() < 5;
    (early ? first : second).push_back(tensor);
    map[tensor.name] = early ? "model-1.safetensors" : "model-2.safetensors";
  }
  WriteTensors("model-1.safetensors", first);
  WriteTensors("model-2.safetensors", second);
  WriteIndex(map);
  EXPECT_EQ(tied_weights_, Load(tied_));

  map[first[0].name] = "model-2.safetensors";
  WriteIndex(map);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "is not in model-2.safetensors, where"));
  map[first[0].name] = "../model-1.safetensors";
  WriteIndex(map);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "is not in a .safetensors file beside it"));
  WriteIndex(3);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "with a weight_map"));
  ASSERT_OK(WriteFile(directory_.File("model.safetensors.index.json"), "{\"weight_map\": {"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "index.json: it is not JSON: syntax error at byte"));
}

TEST_F(WeightFilesTest, RefusesATensorInTwoShardsAndAMissingShard) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  WriteTensors("a.safetensors", tensors);
  WriteTensors("b.safetensors", {tensors[3]});
  WriteIndex({{tensors[0].name, "a.safetensors"}, {tensors[3].name, "b.safetensors"}});
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, absl::StrCat("tensor ", tensors[3].name,
                                                           " is also in ", directory_.path())));
  WriteIndex({{tensors[0].name, "c.safetensors"}});
  EXPECT_THAT(Open(tied_), StatusIs(absl::StatusCode::kNotFound, "c.safetensors"));
  EXPECT_THAT(Open(tied_), StatusIs(absl::StatusCode::kNotFound, "files of"));
}

TEST_F(WeightFilesTest, TiedEmbeddingsMayBeStoredUnderEitherName) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  ASSERT_EQ("model.embed_tokens.weight", tensors[0].name);
  tensors[0].name = "lm_head.weight";
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(tied_weights_, Load(tied_));
  tensors.push_back(TensorsOf(tied_, tied_weights_)[0]);  // under both
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(tied_weights_, Load(tied_));
  const std::vector<float> other = RandomFloats(101 * 48, 9);
  tensors[0].values = ViewOf(other.data());
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid,
                                    "tensor lm_head.weight differs from "
                                    "model.embed_tokens.weight, although config.json says"));
}

TEST_F(WeightFilesTest, TheHeadOfATiedGpt2MayBeStoredToo) {
  std::vector<TensorToStore> tensors = TensorsOf(gpt2_, gpt2_weights_);
  tensors.push_back(tensors.back());
  ASSERT_EQ("transformer.wte.weight", tensors.back().name);
  tensors.back().name = "lm_head.weight";
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(gpt2_weights_, Load(gpt2_));
}

TEST_F(WeightFilesTest, NamesWhatIsMissingSurplusOrMisshapen) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  tensors.pop_back();
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "tensor model.norm.weight is missing"));

  tensors = TensorsOf(tied_, tied_weights_);
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias", {1}, tensors[0].values});
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "q_proj.bias is no part of the model"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, directory_.File("model.safetensors")));

  tensors = TensorsOf(tied_, tied_weights_);
  std::swap(tensors[0].shape[0], tensors[0].shape[1]);
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid,
                                    "has the shape [48, 101], but config.json makes it "
                                    "[101, 48]"));
}

TEST_F(WeightFilesTest, RefusesATypeThatIsNotRead) {
  WriteTensors("model.safetensors", TensorsOf(tied_, tied_weights_));
  std::string bytes = *ReadFile(directory_.File("model.safetensors"));
  const size_t at = bytes.find("\"F32\"", bytes.find("model.norm.weight"));
  ASSERT_OK(
      WriteFileAtomically(directory_.File("model.safetensors"), bytes.replace(at, 5, "\"I32\"")));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "tensor model.norm.weight has the dtype I32; F32"));
}

TEST_F(WeightFilesTest, IgnoresBuffersOfOlderCheckpoints) {
  std::vector<TensorToStore> tensors = TensorsOf(tied_, tied_weights_);
  const TensorView any = tensors[0].values;
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", {5}, any});
  tensors.push_back({"model.rotary_emb.inv_freq", {5}, any});
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(tied_weights_, Load(tied_));

  tensors = TensorsOf(gpt2_, gpt2_weights_);
  tensors.push_back({"transformer.h.0.attn.bias", {1, 1, 64, 64}, any});
  tensors.push_back({"transformer.h.0.attn.masked_bias", {}, any});
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(gpt2_weights_, Load(gpt2_));
  tensors.push_back({"transformer.h.1.attn.bias", {64}, any});  // no mask
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(gpt2_), StatusIs(kInvalid, "h.1.attn.bias is no part of the model"));
}

TEST_F(WeightFilesTest, ReadsTheNamesOfABaseModel) {
  std::vector<TensorToStore> tensors = TensorsOf(gpt2_, gpt2_weights_);
  const TensorToStore last = tensors.back();
  for (TensorToStore& tensor : tensors) {
    tensor.name = std::string(absl::StripPrefix(tensor.name, "transformer."));
  }
  tensors.push_back({"h.0.attn.bias", {1, 1, 64, 64}, last.values});
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(gpt2_weights_, Load(gpt2_));
  tensors.push_back(last);
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(gpt2_),
              StatusIs(kInvalid, "tensor wte.weight is also stored with transformer. in front"));
}

TEST_F(WeightFilesTest, ReadsASequenceClassifier) {
  ModelConfig config = tied_;
  config.num_labels = 1;
  const std::vector<float> weights = TinyWeights(config, 4);
  std::vector<TensorToStore> tensors = TensorsOf(config, weights);
  ASSERT_EQ("score.weight", tensors.back().name);
  WriteTensors("model.safetensors", tensors);
  EXPECT_EQ(weights, Load(config));
  tensors.back().name = "lm_head.weight";
  WriteTensors("model.safetensors", tensors);
  EXPECT_THAT(Open(config), StatusIs(kInvalid, "tensor score.weight is missing"));
}

TEST_F(WeightFilesTest, RefusesOtherFormatsAndSaysWhatToDo) {
  EXPECT_THAT(Open(tied_), StatusIs(absl::StatusCode::kNotFound,
                                    "no model.safetensors and no model.safetensors.index.json"));
  ASSERT_OK(WriteFile(directory_.File("model-q4.gguf"), "GGUF"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "as model-q4.gguf, and GGUF is not read"));
  ASSERT_OK(WriteFile(directory_.File("optimizer.pt"), "PK"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "GGUF"));
  ASSERT_OK(WriteFile(directory_.File("pytorch_model-00001-of-00002.bin"), "PK"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "as pytorch_model-00001-of-00002.bin"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "import AutoModelForCausalLM as Model"));
  ModelConfig classifier = tied_;
  classifier.num_labels = 1;
  EXPECT_THAT(Open(classifier), StatusIs(kInvalid, "import AutoModelForSequenceClassification"));
  ASSERT_OK(WriteFile(directory_.File("consolidated.00.pth"), "PK"));
  EXPECT_THAT(Open(tied_), StatusIs(kInvalid, "convert_llama_weights_to_hf --input_dir"));
}

class WriteWeightFilesTest : public WeightFilesTest {
 protected:
  // What a directory holds: file by file, "name: tensor tensor".
  std::vector<std::string> Files() {
    std::vector<std::string> lines;
    const std::vector<std::string> names = *ListDirectory(directory_.path());
    for (const std::string& name : names) {
      lines.push_back(name + ":");
      const auto file = SafetensorsFile::Open(directory_.File(name));
      if (!file.ok()) continue;
      for (const auto& [tensor, _] : (*file)->index()) absl::StrAppend(&lines.back(), " ", tensor);
    }
    return lines;
  }
  std::vector<TensorToStore> Tensors(const std::vector<std::string>& names,
                                     const std::vector<int64_t>& sizes) {
    std::vector<TensorToStore> tensors;
    for (size_t i = 0; i < names.size(); ++i) {
      tensors.push_back({names[i], {sizes[i]}, ViewOf(tied_weights_.data())});
    }
    return tensors;
  }
};

TEST_F(WriteWeightFilesTest, SplitsAtTheLimit) {
  ASSERT_OK(WriteWeightFiles(directory_.path(), Tensors({"a", "b", "c", "d"}, {2, 3, 1, 9}), 20));
  EXPECT_THAT(
      Files(),
      ElementsAre("model-00001-of-00003.safetensors: a b", "model-00002-of-00003.safetensors: c",
                  "model-00003-of-00003.safetensors: d", "model.safetensors.index.json:"));
  EXPECT_EQ(R"({
  "metadata": {
    "total_size": 60
  },
  "weight_map": {
    "a": "model-00001-of-00003.safetensors",
    "b": "model-00001-of-00003.safetensors",
    "c": "model-00002-of-00003.safetensors",
    "d": "model-00003-of-00003.safetensors"
  }
}
)",
            *ReadFile(directory_.File("model.safetensors.index.json")));
}

TEST_F(WriteWeightFilesTest, WritesOneFileWhereThatIsEnough) {
  ASSERT_OK(WriteWeightFiles(directory_.path(), Tensors({"a", "b"}, {2, 3}), 20));
  EXPECT_THAT(Files(), ElementsAre("model.safetensors: a b"));
}

// A model of each type, in one file and in shards, with the values that conversions would change.
TEST_F(WriteWeightFilesTest, KeepsTheBytesOfEveryType) {
  const std::vector<TensorSpec> layout = WeightLayout(untied_);
  for (const TensorType type : {TensorType::kF32, TensorType::kBf16, TensorType::kF16}) {
    for (const int64_t limit : {kShardBytesMax, int64_t{20'000}}) {
      std::string bytes(WeightCount(layout) * BytesOf(type), '\0');
      for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
      std::vector<TensorToStore> tensors;
      for (const TensorSpec& spec : layout) {
        tensors.push_back(
            {spec.name, spec.shape, TensorView{type, bytes.data()}.From(spec.offset)});
      }
      const std::string directory =
          directory_.File(absl::StrCat(static_cast<int>(type), "-", limit));
      ASSERT_OK(CreateDirectories(directory));
      ASSERT_OK(WriteWeightFiles(directory, tensors, limit));
      EXPECT_EQ(limit == kShardBytesMax, FileExists(JoinPath(directory, "model.safetensors")));
      ASSERT_OK_AND_ASSIGN(const WeightFiles files, WeightFiles::Open(directory, untied_));
      for (const TensorToStore& tensor : tensors) {
        const TensorView view = files.View(tensor.name);
        ASSERT_EQ(type, view.type);
        ASSERT_TRUE(absl::string_view(view.bytes, tensor.bytes()) ==
                    absl::string_view(tensor.values.bytes, tensor.bytes()))
            << tensor.name;
      }
    }
  }
}

}  // namespace
}  // namespace attune
