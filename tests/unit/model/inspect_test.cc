#include "model/inspect.h"

#include <sstream>
#include <string>

#include "common/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::ordered_json;

const std::string kModel = std::string(ATTUNE_SOURCE_DIR) + "/models/stories260k";

class InspectTest : public ::testing::Test {
 protected:
  // The tiny model without a tokenizer, its config.json with `changes`.
  void WriteTiny(const Json& changes = Json::object()) {
    const ModelConfig config = TinyConfig(true);
    ASSERT_OK(WriteModel(directory_.path(), config, TinyWeights(config, 1)));
    Json json = Json::parse(ConfigJson(config));
    json.update(changes);
    ASSERT_OK(WriteFile(directory_.File("config.json"), json.dump()));
  }
  void CopyTokenizer() {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      ASSERT_OK(CopyFile(JoinPath(kModel, name), directory_.File(name)));
    }
  }

  ScratchDirectory directory_;
  std::ostringstream out_;
};

TEST_F(InspectTest, DescribesAModel) {
  const Json report = InspectModel(kModel);
  EXPECT_TRUE(report["usable"]);
  EXPECT_THAT(report["problems"], IsEmpty());
  EXPECT_EQ("llama", report["architecture"]["model_type"]);
  EXPECT_EQ("LlamaForCausalLM", report["architecture"]["class"]);
  EXPECT_EQ("rotary, default", report["architecture"]["positions"]);
  EXPECT_EQ("tied", report["architecture"]["head"]);
  EXPECT_EQ(Json({2, 1}), report["architecture"]["eos_token_ids"]);
  EXPECT_EQ(260032, report["parameters"]["total"]);
  EXPECT_EQ(32768, report["parameters"]["embeddings"]);
  EXPECT_EQ(227264, report["parameters"]["without_embeddings"]);
  EXPECT_EQ(Json({{"F32", 47}}), report["files"]["tensors"]);
  EXPECT_EQ(1, report["files"]["shards"]);
  EXPECT_EQ(report["sampling"]["weights_bytes"]["fp32"],
            report["sampling"]["weights_bytes"]["stored"]);
  EXPECT_EQ(512 * 1920, report["sampling"]["kv_cache_bytes_full_context"]);
  EXPECT_EQ("BPE", report["tokenizer"]["kind"]);
  EXPECT_EQ(512, report["tokenizer"]["vocab_size"]);
  EXPECT_EQ(3, report["tokenizer"]["added_tokens"]);
  EXPECT_EQ("<s>", report["tokenizer"]["special_tokens"]["bos_token"]);
  EXPECT_EQ("none", report["tokenizer"]["chat_template"]);
}

TEST_F(InspectTest, MarksTheStagesThatAreNotThere) {
  const Json report = InspectModel(kModel);
  ASSERT_EQ(16u, report["training"].size());
  for (const Json& row : report["training"]) {
    EXPECT_EQ(row["zero_stage"] <= 1, row["available"]) << row;
    EXPECT_EQ(row["fp32"]["total_bytes"].get<int64_t>(),
              row["fp32"]["weights_bytes"].get<int64_t>() +
                  row["fp32"]["gradients_bytes"].get<int64_t>() +
                  row["fp32"]["optimizer_bytes"].get<int64_t>() +
                  row["fp32"]["published_bytes"].get<int64_t>());
  }
}

TEST_F(InspectTest, WritesTextOrOneJsonObject) {
  ASSERT_OK(RunInspect(kModel, /*json=*/false, out_));
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("stories260k: can be used\n"),
                                HasSubstr("  model type           llama, LlamaForCausalLM\n"),
                                HasSubstr("  total                260,032\n"),
                                HasSubstr("a token, 960.0 KiB for a full context"), HasSubstr("2*"),
                                HasSubstr("* a stage that the trainer does not have yet"),
                                Not(HasSubstr("Problems"))));
  std::ostringstream json;
  ASSERT_OK(RunInspect(kModel, /*json=*/true, json));
  EXPECT_EQ(InspectModel(kModel), Json::parse(json.str()));
  EXPECT_EQ(json.str().size() - 1, json.str().find('\n'));
}

TEST_F(InspectTest, TellsTheProblemsOfAllFilesAndWhatCanBeKnown) {
  WriteTiny({{"hidden_act", "relu"}, {"clip_qkv", 8}});
  ASSERT_OK(WriteFile(directory_.File("model.safetensors"), "damaged"));
  EXPECT_THAT(RunInspect(directory_.path(), /*json=*/false, out_),
              StatusIs(absl::StatusCode::kInvalidArgument, "problems found: 4"));
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr(": cannot be used\n"), HasSubstr("  layers               2\n"),
                    HasSubstr("  config.json: hidden_act is \"relu\"; only silu"),
                    HasSubstr("  config.json: clip_qkv is 8; "), HasSubstr("model.safetensors"),
                    HasSubstr("tokenizer.json"), HasSubstr("weights as stored    -\n")));
}

TEST_F(InspectTest, DescribesTheRestOfADirectoryWithoutConfig) {
  CopyTokenizer();
  const Json report = InspectModel(directory_.path());
  EXPECT_FALSE(report["usable"]);
  EXPECT_TRUE(report["architecture"].is_null());
  EXPECT_TRUE(report["files"].is_null());
  EXPECT_EQ(512, report["tokenizer"]["vocab_size"]);
  EXPECT_THAT(report["problems"].dump(), HasSubstr("config.json"));
  EXPECT_THAT(InspectModel(directory_.File("none"))["problems"].dump(),
              HasSubstr("there is no directory"));
}

TEST_F(InspectTest, ASequenceClassifierIsNotTrained) {
  WriteTiny({{"architectures", {"LlamaForSequenceClassification"}}, {"num_labels", 1}});
  const Json report = InspectModel(directory_.path());
  EXPECT_EQ("score", report["architecture"]["head"]);
  EXPECT_TRUE(report["training"].is_null());
  EXPECT_THAT(report["problems"].dump(), HasSubstr("score.weight"));
}

TEST_F(InspectTest, NotesIdsOfTheTokenizerThatTheModelHasNoEmbeddingFor) {
  WriteTiny();
  CopyTokenizer();
  const Json report = InspectModel(directory_.path());
  EXPECT_TRUE(report["usable"]) << report["problems"];
  EXPECT_THAT(report["notes"].dump(), HasSubstr("the tokenizer has 512 ids, the model embeddings "
                                                "for 101"));
}

}  // namespace
}  // namespace attune
