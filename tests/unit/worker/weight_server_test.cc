#include "worker/weight_server.h"

#include <cstring>

#include "common/digest.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

v1::PolicyVersion Version(uint32_t round) {
  v1::PolicyVersion version;
  version.set_round(round);
  version.set_digest("digest-" + std::to_string(round));
  return version;
}

std::vector<float> Weights(size_t count, float first) {
  std::vector<float> weights(count);
  for (size_t i = 0; i < count; ++i) weights[i] = first + static_cast<float>(i);
  return weights;
}

// One rank's server; fetches into `vector` by the offsets of the chunks.
class WeightServerTest : public testing::Test {
 protected:
  absl::Status Fetch(WeightServer& weights, const v1::PolicyVersion& version,
                     std::vector<float>* vector, int* chunks = nullptr) {
    const auto server = RpcServer::Start("127.0.0.1:0", {&weights}).value();
    const auto stub = v1::WeightService::NewStub(MakeChannel(server->address()));
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(30), /*wait_for_ready=*/true);
    v1::FetchWeightsRequest request;
    *request.mutable_policy() = version;
    const auto stream = stub->FetchWeights(&context, request);
    v1::WeightChunk chunk;
    while (stream->Read(&chunk)) {
      EXPECT_LE(chunk.values().size(), 1u << 20);
      EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.values()));
      vector->resize(chunk.total());
      std::memcpy(vector->data() + chunk.offset(), chunk.values().data(), chunk.values().size());
      if (chunks != nullptr) ++*chunks;
    }
    return FromGrpcStatus(stream->Finish());
  }

  const std::unique_ptr<Metrics> metrics_ = Metrics::Create("", "trainer").value();
};

TEST_F(WeightServerTest, AllRanksTogetherServeTheWholeVectorInChunks) {
  const std::vector<float> weights = Weights(1'000'001, 1);  // not a multiple of three
  std::vector<float> fetched;
  int chunks = 0;
  for (int rank = 0; rank < 3; ++rank) {
    WeightServer server(rank, 3, metrics_.get());
    server.Publish(Version(1), weights);
    EXPECT_OK(Fetch(server, Version(1), &fetched, &chunks));
  }
  EXPECT_EQ(fetched, weights);
  EXPECT_EQ(chunks, 6);
}

TEST_F(WeightServerTest, MoreRanksThanWeightsLeaveEmptySlices) {
  const std::vector<float> weights = Weights(3, 1);
  std::vector<float> fetched;
  for (int rank = 0; rank < 5; ++rank) {
    WeightServer server(rank, 5, metrics_.get());
    server.Publish(Version(1), weights);
    EXPECT_OK(Fetch(server, Version(1), &fetched));
  }
  EXPECT_EQ(fetched, weights);
}

TEST_F(WeightServerTest, HoldsTheNewestTwoPolicies) {
  WeightServer server(0, 1, metrics_.get());
  for (uint32_t round = 1; round <= 3; ++round) {
    server.Publish(Version(round), Weights(4, static_cast<float>(round)));
  }
  std::vector<float> fetched;
  EXPECT_THAT(Fetch(server, Version(1), &fetched),
              StatusIs(absl::StatusCode::kNotFound, "does not hold the policy of round 1"));
  EXPECT_OK(Fetch(server, Version(2), &fetched));
  EXPECT_EQ(fetched, Weights(4, 2));
  EXPECT_OK(Fetch(server, Version(3), &fetched));
  EXPECT_EQ(fetched, Weights(4, 3));
}

}  // namespace
}  // namespace attune
