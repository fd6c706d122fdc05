#include "worker/adapter_files.h"

#include <string>
#include <vector>

#include "common/files.h"
#include "gtest/gtest.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"
#include "tests/unit/worker/reference_data.h"

namespace attune {
namespace {

constexpr char kModel[] = "/models/tiny";

class AdapterFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    v1::LoraSpec& lora = *request_.mutable_training()->mutable_lora();
    lora.set_r(3);
    lora.set_lora_alpha(6);
    lora.add_target_modules("q_proj");
    lora.add_target_modules("down_proj");
    request_.set_seed(42);
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  // With random values in both factors.
  Adapters Trained(bool two) {
    request_.mutable_objective()->set_loss_type(
        0, two ? v1::LOSS_TYPE_OFS_DPO : v1::LOSS_TYPE_SIGMOID);
    Adapters adapters = LoadAdapters(request_, config_).value();
    adapters.fast = RandomFloats(adapters.fast.size(), 1);
    if (two) adapters.slow = RandomFloats(adapters.fast.size(), 2);
    return adapters;
  }

  const ModelConfig config_ = TinyConfig(true);
  v1::TrainRoundRequest request_ = ReferenceRequest();
  const std::string directory_ = MakeTemporaryDirectory("adapters").value();
};

TEST_F(AdapterFilesTest, ReadsBackWhatItWrote) {
  const Adapters adapters = Trained(false);
  ASSERT_OK(SaveAdapters(directory_, kModel, adapters));
  EXPECT_FALSE(DirectoryExists(JoinPath(directory_, "adapter_slow")));
  request_.mutable_input()->set_checkpoint_path(directory_);
  ASSERT_OK_AND_ASSIGN(const Adapters read, LoadAdapters(request_, config_));
  EXPECT_EQ(read.fast, adapters.fast);
  EXPECT_TRUE(read.slow.empty());
}

TEST_F(AdapterFilesTest, KeepsBothAdaptersTheirRolesAndTheLearnedDomains) {
  Adapters adapters = Trained(true);
  adapters.swapped = true;
  for (uint64_t domain : {3, 4}) {
    adapters.domains.push_back({RandomFloats(adapters.fast.size(), domain), ReferencePairs()});
    adapters.domains.back().pairs.resize(domain - 1);
  }
  ASSERT_OK(SaveAdapters(directory_, kModel, adapters));
  request_.mutable_input()->set_checkpoint_path(directory_);
  ASSERT_OK_AND_ASSIGN(const Adapters read, LoadAdapters(request_, config_));
  EXPECT_EQ(read.slow, adapters.slow);
  EXPECT_TRUE(read.swapped);
  ASSERT_EQ(read.domains.size(), 2u);
  EXPECT_EQ(read.domains[1].adapter, adapters.domains[1].adapter);
  ASSERT_EQ(read.domains[1].pairs.size(), 3u);
  EXPECT_EQ(read.domains[1].pairs[2].SerializeAsString(), ReferencePairs()[2].SerializeAsString());
}

TEST_F(AdapterFilesTest, WritesPeftsFiles) {
  ASSERT_OK(SaveAdapters(directory_, kModel, Trained(false)));
  const std::string adapter = JoinPath(directory_, "adapter");
  const auto config =
      nlohmann::json::parse(ReadFile(JoinPath(adapter, "adapter_config.json")).value());
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["task_type"], "CAUSAL_LM");
  EXPECT_EQ(config["base_model_name_or_path"], kModel);
  EXPECT_EQ(config["r"], 3);
  EXPECT_EQ(config["lora_alpha"], 6);
  EXPECT_TRUE(config["lora_alpha"].is_number_integer());
  EXPECT_EQ(config["fan_in_fan_out"], false);
  EXPECT_EQ(config["target_modules"], nlohmann::json({"q_proj", "down_proj"}));
  ASSERT_OK_AND_ASSIGN(const auto file,
                       SafetensorsFile::Open(JoinPath(adapter, "adapter_model.safetensors")));
  ASSERT_EQ(file->index().size(), 8u);
  const StoredTensor& tensor =
      file->index().at("base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(tensor.dtype, "F32");
  EXPECT_EQ(tensor.shape, (std::vector<int64_t>{3, 48}));
}

TEST_F(AdapterFilesTest, RefusesWhatIsMissingOrOfAnotherShape) {
  request_.mutable_input()->set_checkpoint_path(directory_);
  EXPECT_THAT(LoadAdapters(request_, config_),
              StatusIs(absl::StatusCode::kDataLoss, "cannot go on with the adapter"));
  ASSERT_OK(SaveAdapters(directory_, kModel, [&] {
    request_.mutable_input()->clear_checkpoint_path();
    return Trained(false);
  }()));
  request_.mutable_input()->set_checkpoint_path(directory_);
  request_.mutable_training()->mutable_lora()->set_r(4);
  EXPECT_THAT(LoadAdapters(request_, config_),
              StatusIs(absl::StatusCode::kDataLoss, "lora_A.weight of 4 x 70"));
  request_.mutable_training()->mutable_lora()->set_r(3);
  request_.mutable_training()->mutable_lora()->mutable_target_modules()->RemoveLast();
  EXPECT_THAT(LoadAdapters(request_, config_),
              StatusIs(absl::StatusCode::kDataLoss, "8 tensors instead of 4"));
}

}  // namespace
}  // namespace attune
