// Run by mpirun with two ranks, and once without mpirun.
#include "tests/unit/comm/collective_contract.h"

namespace attune {
namespace {

std::unique_ptr<Collective>& World() {
  static auto& world = *new std::unique_ptr<Collective>;
  return world;
}

class MpiEnvironment : public testing::Environment {
 public:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(World(), MakeMpiCollective());
  }
  void TearDown() override { World().reset(); }
};

[[maybe_unused]] testing::Environment* const kEnvironment =
    testing::AddGlobalTestEnvironment(new MpiEnvironment);

TEST(MpiCollectiveTest, KeepsTheContractOfCollectives) { CheckCollective(*World()); }

TEST(MpiCollectiveTest, SumsAsLocalRanksDo) {
  const int size = World()->size();
  constexpr size_t kSlice = 1000;
  const auto reduce = [&](Collective& collective) {
    std::vector<double> full(kSlice * size);
    for (size_t i = 0; i < full.size(); ++i) full[i] = AwkwardValue(collective.rank(), i * 13);
    EXPECT_OK(collective.ReduceScatterSum(absl::MakeSpan(full)));
    return full;
  };
  const std::vector<double> mine = reduce(*World());
  EXPECT_OK(RunLocalRanks(size, [&](Collective& collective) {
    const std::vector<double> local = reduce(collective);
    if (collective.rank() == World()->rank()) {
      EXPECT_EQ(local, mine);
    }
    return absl::OkStatus();
  }));
}

TEST(MpiCollectiveTest, ManyOperationsInARowStayInStep) {
  for (int i = 0; i < 500; ++i) {
    std::vector<double> values = {static_cast<double>(i)};
    ASSERT_OK(World()->AllReduceSum(absl::MakeSpan(values)));
    ASSERT_EQ(values[0], static_cast<double>(i) * World()->size());
  }
}

}  // namespace
}  // namespace attune
