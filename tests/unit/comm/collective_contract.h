// What every backend of Collective promises, checked from inside one rank.
#ifndef ATTUNE_TESTS_UNIT_COMM_COLLECTIVE_CONTRACT_H_
#define ATTUNE_TESTS_UNIT_COMM_COLLECTIVE_CONTRACT_H_

#include <vector>

#include "comm/collective.h"
#include "tests/testing/status_matchers.h"

namespace attune {

// A value whose sum over ranks depends on the order of addition, so that a wrong order shows.
inline double AwkwardValue(int rank, size_t i) {
  return (rank % 2 == 0 ? 1.0 : -0.99999) * (1.0 + 1e-3 * static_cast<double>(i * 7 + rank * 3));
}

inline void CheckReduceScatter(Collective& collective, size_t slice_size) {
  const int size = collective.size();
  const int rank = collective.rank();
  std::vector<double> full(slice_size * size);
  for (size_t i = 0; i < full.size(); ++i) full[i] = AwkwardValue(rank, i);
  EXPECT_OK(collective.ReduceScatterSum(absl::MakeSpan(full)));
  for (size_t i = 0; i < full.size(); ++i) {
    double expected = 0;
    for (int r = 0; r < size; ++r) expected += AwkwardValue(r, i);
    const bool mine = i / slice_size == static_cast<size_t>(rank);
    ASSERT_EQ(full[i], mine ? expected : AwkwardValue(rank, i)) << "element " << i;
  }
}

inline void CheckAllGather(Collective& collective, size_t slice_size, bool in_place) {
  const int size = collective.size();
  const int rank = collective.rank();
  std::vector<float> full(slice_size * size, -1.0f);
  std::vector<float> own(slice_size);
  absl::Span<float> slice = in_place
      ? absl::MakeSpan(full).subspan(rank * slice_size, slice_size)
      : absl::MakeSpan(own);
  for (size_t i = 0; i < slice_size; ++i) slice[i] = static_cast<float>(i) + 0.5f * rank;
  EXPECT_OK(collective.AllGather(slice, absl::MakeSpan(full)));
  for (int r = 0; r < size; ++r) {
    for (size_t i = 0; i < slice_size; ++i) {
      ASSERT_EQ(full[r * slice_size + i], static_cast<float>(i) + 0.5f * r)
          << "rank " << r << " element " << i;
    }
  }
}

inline void CheckAllReduce(Collective& collective) {
  std::vector<double> values = {1.0 + collective.rank(), -0.5, 1e-17 * (collective.rank() + 1)};
  EXPECT_OK(collective.AllReduceSum(absl::MakeSpan(values)));
  double first = 0;
  double third = 0;
  for (int r = 0; r < collective.size(); ++r) {
    first += 1.0 + r;
    third += 1e-17 * (r + 1);
  }
  EXPECT_EQ(values[0], first);
  EXPECT_EQ(values[1], -0.5 * collective.size());
  EXPECT_EQ(values[2], third);
}

inline void CheckCollective(Collective& collective) {
  CheckAllReduce(collective);
  CheckReduceScatter(collective, 5);
  CheckReduceScatter(collective, 300'001);    // beyond eager messages
  CheckReduceScatter(collective, 1'200'000);  // beyond a part of it
  CheckAllGather(collective, 7, /*in_place=*/false);
  CheckAllGather(collective, 300'001, /*in_place=*/true);
  EXPECT_OK(collective.Barrier());
  EXPECT_TRUE(collective.healthy());
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_COMM_COLLECTIVE_CONTRACT_H_
