#include "rollout/weight_client.h"

#include <memory>
#include <string>
#include <vector>

#include "common/files.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/rollout/fake_weight_server.h"
#include "tests/unit/rollout/small_model.h"

namespace attune {
namespace {

using absl::StatusCode;

constexpr char kNowhere[] = "127.0.0.1:1";  // nothing listens there

std::vector<float> Numbers(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i);
  return values;
}

v1::PolicyVersion Version(const std::string& digest) {
  v1::PolicyVersion version;
  version.set_round(1);
  version.set_digest(digest);
  return version;
}

TEST(FetchWeightsTest, PutsTheSlicesOfAllRanksTogether) {
  for (int ranks : {1, 2, 3}) {
    const std::vector<float> values = Numbers(70'001);
    std::vector<std::unique_ptr<FakeWeightServer>> servers;
    std::vector<std::string> addresses;
    for (int rank = ranks - 1; rank >= 0; --rank) {  // the order of the ranks does not matter
      servers.push_back(std::make_unique<FakeWeightServer>(values, "d", rank, ranks));
      addresses.push_back(servers.back()->address());
    }
    ASSERT_OK_AND_ASSIGN(const FetchedWeights fetched,
                         FetchWeights(Version("d"), addresses, 70'001));
    EXPECT_EQ(fetched.values, values);
    EXPECT_EQ(fetched.bytes, 70'001u * 4);
  }
}

TEST(FetchWeightsTest, AcceptsRanksWithoutASlice) {
  const std::vector<float> values = Numbers(4);  // slices of 2: the third rank has none
  FakeWeightServer first(values, "d", 0, 3), second(values, "d", 1, 3), third(values, "d", 2, 3);
  ASSERT_OK_AND_ASSIGN(
      const FetchedWeights fetched,
      FetchWeights(Version("d"), {first.address(), second.address(), third.address()}, 4));
  EXPECT_EQ(fetched.values, values);
}

// What FetchWeights says when the second of two ranks does `tamper` to its chunks.
absl::Status FetchWith(FakeWeightServer::Tamper tamper) {
  const std::vector<float> values = Numbers(70'000);
  FakeWeightServer good(values, "d", 0, 2), bad(values, "d", 1, 2, std::move(tamper));
  return FetchWeights(Version("d"), {good.address(), bad.address()}, 70'000).status();
}

TEST(FetchWeightsTest, RefusesAChunkThatWasDamaged) {
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) {
                if (chunk.offset() == 45'000) (*chunk.mutable_values())[77] ^= 1;
                return true;
              }),
              StatusIs(StatusCode::kDataLoss, "the chunk at element 45000 has CRC-32C"));
}

TEST(FetchWeightsTest, RefusesGapsRepetitionsAndSurplus) {
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) { return chunk.offset() != 45'000; }),
              StatusIs(StatusCode::kDataLoss, "from 55000 where those from 45000"));
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) { return chunk.offset() != 65'000; }),
              StatusIs(StatusCode::kDataLoss, "the slice ended at element 65000 instead of 70000"));
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) {
                if (chunk.offset() == 45'000) chunk.set_offset(35'000);
                return true;
              }),
              StatusIs(StatusCode::kDataLoss, "from 35000 where those from 45000"));
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) {
                if (chunk.offset() == 65'000) {
                  chunk.mutable_values()->append(4, '\0');
                  chunk.set_crc32c(Crc32c(chunk.values()));
                }
                return true;
              }),
              StatusIs(StatusCode::kDataLoss, "holds 5001 elements from 65000"));
  EXPECT_THAT(FetchWith([](v1::WeightChunk&) { return false; }),
              StatusIs(StatusCode::kDataLoss, "served 1 of 2 slices"));
}

TEST(FetchWeightsTest, RefusesChunksOfTheWrongSizeOrModel) {
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) {
                chunk.set_values("abc");
                chunk.set_crc32c(Crc32c("abc"));
                return true;
              }),
              StatusIs(StatusCode::kDataLoss, "a chunk has 3 bytes"));
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) {
                chunk.set_total(70'001);
                return true;
              }),
              StatusIs(StatusCode::kDataLoss, "70001 parameters, the model here 70000"));
  EXPECT_THAT(FetchWith([](v1::WeightChunk& chunk) {
                chunk.set_offset(chunk.offset() + 1);
                return true;
              }),
              StatusIs(StatusCode::kDataLoss, "a slice begins at element 35001"));
}

TEST(FetchWeightsTest, RefusesTheSameSliceTwice) {
  const std::vector<float> values = Numbers(70'000);
  FakeWeightServer first(values, "d", 1, 2), again(values, "d", 1, 2);
  EXPECT_THAT(FetchWeights(Version("d"), {first.address(), again.address()}, 70'000),
              StatusIs(StatusCode::kDataLoss, "a slice begins at element 35000"));
}

TEST(FetchWeightsTest, SaysWhichRankIsAwayOrHoldsAnotherVersion) {
  const std::vector<float> values = Numbers(100);
  FakeWeightServer first(values, "d", 0, 2), old(values, "c", 1, 2);
  EXPECT_THAT(FetchWeights(Version("d"), {first.address(), kNowhere}, 100),
              StatusIs(StatusCode::kUnavailable, kNowhere));
  EXPECT_THAT(FetchWeights(Version("d"), {first.address(), old.address()}, 100),
              StatusIs(StatusCode::kNotFound, old.address()));
}

class LoadPolicyTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(directory_, MakeTemporaryDirectory("attune-weights"));
  }
  void TearDown() override { EXPECT_OK(RemoveAll(directory_)); }

  std::string SaveCheckpointOf(const SmallModel& model) {
    const std::string path = JoinPath(directory_, "checkpoint");
    EXPECT_OK(SaveCheckpoint(path, kModelPath, model.config, model.weights, "{}"));
    return path;
  }

  const SmallModel trained_ = MakeSmallModel(1.01f);
  std::string directory_;
};

TEST_F(LoadPolicyTest, TakesTheInitialModelFromItsDirectory) {
  const SmallModel model = MakeSmallModel(1.0f);
  ASSERT_OK_AND_ASSIGN(const LoadedPolicy loaded, LoadPolicy(SourceOf(model, 0), TensorType::kF32));
  EXPECT_TRUE(IsPolicyOf(model, *loaded.policy));
  EXPECT_EQ(loaded.bytes, 0u);
}

TEST_F(LoadPolicyTest, TakesATrainedPolicyFromTheTrainers) {
  FakeWeightServer first(trained_.weights, trained_.digest, 0, 2);
  FakeWeightServer second(trained_.weights, trained_.digest, 1, 2);
  v1::PolicySource source = SourceOf(trained_, 1);
  source.add_weight_addresses(first.address());
  source.add_weight_addresses(second.address());
  ASSERT_OK_AND_ASSIGN(const LoadedPolicy loaded, LoadPolicy(source, TensorType::kF32));
  EXPECT_TRUE(IsPolicyOf(trained_, *loaded.policy));
  EXPECT_EQ(loaded.bytes, trained_.weights.size() * 4);
}

TEST_F(LoadPolicyTest, RoundsTheWeightsOfThatDigestToThePrecision) {
  FakeWeightServer server(trained_.weights, trained_.digest, 0, 1);
  v1::PolicySource served = SourceOf(trained_, 1);
  served.add_weight_addresses(server.address());
  v1::PolicySource saved = SourceOf(trained_, 1);
  saved.set_checkpoint_path(SaveCheckpointOf(trained_));
  for (const v1::PolicySource& source : {served, saved}) {
    ASSERT_OK_AND_ASSIGN(const LoadedPolicy loaded, LoadPolicy(source, TensorType::kBf16));
    EXPECT_TRUE(IsPolicyOf(trained_, *loaded.policy, TensorType::kBf16));
    EXPECT_FALSE(IsPolicyOf(trained_, *loaded.policy, TensorType::kF32));
  }
}

TEST_F(LoadPolicyTest, FallsBackToTheCheckpointWhenARankIsAway) {
  FakeWeightServer first(trained_.weights, trained_.digest, 0, 2);
  v1::PolicySource source = SourceOf(trained_, 1);
  source.add_weight_addresses(first.address());
  source.add_weight_addresses(kNowhere);
  EXPECT_THAT(LoadPolicy(source, TensorType::kF32),
              StatusIs(StatusCode::kNotFound, "give checkpoint_path"));
  source.set_checkpoint_path(SaveCheckpointOf(trained_));
  ASSERT_OK_AND_ASSIGN(const LoadedPolicy loaded, LoadPolicy(source, TensorType::kF32));
  EXPECT_TRUE(IsPolicyOf(trained_, *loaded.policy));
  EXPECT_EQ(loaded.bytes, 0u);
}

TEST_F(LoadPolicyTest, UsesTheCheckpointWhenNoRankIsNamed) {
  v1::PolicySource source = SourceOf(trained_, 4);
  source.set_checkpoint_path(SaveCheckpointOf(trained_));
  ASSERT_OK_AND_ASSIGN(const LoadedPolicy loaded, LoadPolicy(source, TensorType::kF32));
  EXPECT_TRUE(IsPolicyOf(trained_, *loaded.policy));
}

TEST_F(LoadPolicyTest, DoesNotHideDamageBehindTheCheckpoint) {
  FakeWeightServer bad(trained_.weights, trained_.digest, 0, 1, [](v1::WeightChunk& chunk) {
    chunk.set_crc32c(chunk.crc32c() + 1);
    return true;
  });
  v1::PolicySource source = SourceOf(trained_, 1);
  source.add_weight_addresses(bad.address());
  source.set_checkpoint_path(SaveCheckpointOf(trained_));
  EXPECT_THAT(LoadPolicy(source, TensorType::kF32), StatusIs(StatusCode::kDataLoss, "CRC-32C"));
}

TEST_F(LoadPolicyTest, NamesBothDigestsWhenOtherWeightsArrive) {
  const SmallModel other = MakeSmallModel(1.02f);
  FakeWeightServer liar(other.weights, trained_.digest, 0, 1);
  v1::PolicySource source = SourceOf(trained_, 1);
  source.add_weight_addresses(liar.address());
  EXPECT_THAT(LoadPolicy(source, TensorType::kF32), StatusIs(StatusCode::kDataLoss, other.digest));
  EXPECT_THAT(LoadPolicy(source, TensorType::kF32),
              StatusIs(StatusCode::kDataLoss, trained_.digest));
  v1::PolicySource directory = SourceOf(trained_, 1);
  directory.set_checkpoint_path(SaveCheckpointOf(other));
  EXPECT_THAT(LoadPolicy(directory, TensorType::kF32),
              StatusIs(StatusCode::kDataLoss, other.digest));
}

}  // namespace
}  // namespace attune
