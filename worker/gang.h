// Identity of a rank: the gang it belongs to and the addresses it listens on.
#ifndef ATTUNE_WORKER_GANG_H_
#define ATTUNE_WORKER_GANG_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "comm/collective.h"

namespace attune {

// 52 bits of the SHA-256 of `text`, which a double holds exactly: ranks can show each other texts
// through sums.
double ExactKey(absl::string_view text);

// The same on all ranks, different at every start of the gang: rank 0 decides.
[[nodiscard]] absl::StatusOr<std::string> AgreeOnGangId(Collective& ranks);

// `address` (host:port) with the port raised by `rank`; port 0 and the empty address stay.
[[nodiscard]] absl::StatusOr<std::string> AddressOfRank(const std::string& address, int rank);

}  // namespace attune

#endif  // ATTUNE_WORKER_GANG_H_
