// The engine against the double-precision reference, on directories as Hugging Face writes them:
// every architecture, option and storage format.
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "model/policy.h"
#include "tests/reference/checkpoint.h"
#include "tests/reference/model_factory.h"
#include "tests/reference/model_variants.h"
#include "tests/reference/reference_model.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/model/tiny_model.h"

namespace attune {
namespace {

using nlohmann::json;

// Logits are about 1 and rest on sums of some hundred products: rounding stays below half of this,
// and anything misread is far above.
constexpr double kTolerance = 1e-5;

std::vector<int32_t> SomeIds() {
  std::vector<int32_t> ids;
  for (int i = 0; i < kVariantPositions; ++i) ids.push_back(i * i * 11 % kVariantVocabulary);
  return ids;
}

std::vector<PolicyRow> RowsOf(const std::vector<int32_t>& ids, KvCache* cache) {
  std::vector<PolicyRow> rows;
  for (size_t i = 0; i < ids.size(); ++i) {
    rows.push_back({cache, static_cast<int64_t>(i), ids[i], true});
  }
  return rows;
}

// What the head gives after each row: [rows, outputs].
std::vector<float> Outputs(const Policy& policy, absl::Span<const PolicyRow> rows) {
  const std::vector<float> hidden = policy.Forward(rows);
  std::vector<float> outputs(rows.size() * static_cast<size_t>(policy.config().outputs()));
  policy.Logits(hidden.data(), static_cast<int64_t>(rows.size()), outputs.data());
  return outputs;
}

// `outputs` against wanted[position][output].
void ExpectNear(const std::vector<std::vector<double>>& wanted, const std::vector<float>& outputs,
                double tolerance) {
  const size_t width = wanted[0].size();
  ASSERT_EQ(wanted.size() * width, outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    ASSERT_NEAR(wanted[i / width][i % width], outputs[i], tolerance)
        << "position " << i / width << " output " << i % width;
  }
}

std::string NameOf(const ::testing::TestParamInfo<ModelVariant>& info) { return info.param.name; }

class ArchitecturesTest : public ::testing::TestWithParam<ModelVariant> {
 protected:
  void SetUp() override {
    WriteVariant(GetParam(), directory_.path());
    ASSERT_OK_AND_ASSIGN(policy_, Policy::Load(directory_.path()));
  }

  const ScratchDirectory directory_;
  const std::vector<int32_t> ids_ = SomeIds();
  std::shared_ptr<const Policy> policy_;
};
INSTANTIATE_TEST_SUITE_P(All, ArchitecturesTest, ::testing::ValuesIn(AllVariants()), NameOf);

TEST_P(ArchitecturesTest, LogitsAreTheReferences) {
  KvCache cache;
  ExpectNear(ReferenceLogits(GetParam().config, MakeTensors(GetParam()), ids_),
             Outputs(*policy_, RowsOf(ids_, &cache)), kTolerance);
}

TEST_P(ArchitecturesTest, DecodingGivesTheBitsOfPrefill) {
  KvCache prefill_cache, decode_cache;
  const std::vector<float> prefill = Outputs(*policy_, RowsOf(ids_, &prefill_cache));
  std::vector<float> decode;
  for (const PolicyRow& row : RowsOf(ids_, &decode_cache)) {
    const std::vector<float> logits = Outputs(*policy_, {row});
    decode.insert(decode.end(), logits.begin(), logits.end());
  }
  EXPECT_EQ(prefill, decode);
}

class ClassifiersTest : public ArchitecturesTest {};
INSTANTIATE_TEST_SUITE_P(All, ClassifiersTest, ::testing::ValuesIn(ClassifierVariants()), NameOf);

TEST_P(ClassifiersTest, ScoresOfTheLastTokenAreTheReferences) {
  KvCache cache;
  std::vector<PolicyRow> rows = RowsOf(ids_, &cache);
  const ReferenceTensors tensors = MakeTensors(GetParam());
  const std::vector<float> outputs = Outputs(*policy_, rows);
  const std::vector<double> wanted = ReferenceScores(GetParam().config, tensors, ids_);
  ASSERT_EQ(ids_.size() * wanted.size(), outputs.size());
  const std::vector<float> last(outputs.end() - static_cast<int64_t>(wanted.size()), outputs.end());
  ExpectNear({wanted}, last, kTolerance);
}

// Better no model than another one.
TEST(UnsupportedModelTest, IsRefusedByTheNameOfItsOption) {
  for (const auto& [variant, key] : UnsupportedVariants()) {
    const ScratchDirectory directory;
    WriteVariant(variant, directory.path());
    EXPECT_THAT(Policy::Load(directory.path()), StatusIs(absl::StatusCode::kInvalidArgument, key))
        << variant.name;
  }
}

// Logits that others recorded, in single precision.
TEST(PublishedModelTest, Gpt2GivesTheLogitsOfItsAuthors) {
  const std::string directory = ATTUNE_SOURCE_DIR "/tests/data/nanogpt-sort-gpt2";
  const json expected = ReadJson(directory + "/expected_logits.json");
  ASSERT_OK_AND_ASSIGN(const std::shared_ptr<const Policy> policy, Policy::Load(directory));
  ASSERT_EQ(3u, expected["input_ids"].size());
  for (size_t i = 0; i < expected["input_ids"].size(); ++i) {
    KvCache cache;
    const auto ids = expected["input_ids"][i].get<std::vector<int32_t>>();
    ExpectNear(expected["logits"][i].get<std::vector<std::vector<double>>>(),
               Outputs(*policy, RowsOf(ids, &cache)), 1e-4);
  }
}

}  // namespace
}  // namespace attune
