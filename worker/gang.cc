#include "worker/gang.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/process.h"
#include "common/status_macros.h"

namespace attune {

double ExactKey(absl::string_view text) {
  constexpr size_t kDigits = 13;  // 4 bits each
  const std::string digits = Sha256Hex(text).substr(0, kDigits);
  double key = 0;
  for (char digit : digits) {
    key = key * 16 + (digit <= '9' ? digit - '0' : digit - 'a' + 10);
  }
  return key;
}

absl::StatusOr<std::string> AgreeOnGangId(Collective& ranks) {
  double key = ranks.rank() == 0 ? ExactKey(UniqueProcessId()) : 0;
  ATTUNE_RETURN_IF_ERROR(ranks.AllReduceSum(absl::MakeSpan(&key, 1)));
  return absl::StrCat("gang-", absl::Hex(static_cast<uint64_t>(key), absl::kZeroPad13));
}

absl::StatusOr<std::string> AddressOfRank(const std::string& address, int rank) {
  if (address.empty()) return address;
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 0 || port + rank > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("the address \"", address, "\" is not host:port with room for rank ", rank));
  }
  return absl::StrCat(address.substr(0, colon), ":", port == 0 ? 0 : port + rank);
}

}  // namespace attune
