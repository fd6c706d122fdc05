// The order in which a round works.
#ifndef ATTUNE_COORDINATOR_ROUND_ORDER_H_
#define ATTUNE_COORDINATOR_ROUND_ORDER_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <vector>

#include "attune/v1/round.pb.h"

namespace attune {

// Samples and judgments come back in key order, which is the order of prompt indices; a round
// works in the order of its record. Every item's prompt_index is in the record.
template <typename Item>
std::vector<Item> InRoundOrder(const v1::RoundRecord& record, std::vector<Item> items) {
  std::map<uint32_t, size_t> position;
  for (int i = 0; i < record.prompt_indices_size(); ++i) position[record.prompt_indices(i)] = i;
  std::stable_sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
    return position.at(a.prompt_index()) < position.at(b.prompt_index());
  });
  return items;
}

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_ROUND_ORDER_H_
