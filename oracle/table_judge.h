// Preferences between classes of responses, from a file. They may be intransitive: rock beats
// scissors beats paper beats rock.
//
//   {"classes": [{"name": "rock", "pattern": "rock"}, {"name": "paper", "pattern": "paper"},
//                {"name": "other"}],
//    "preferences": [[0.5, 0, 1], [1, 0.5, 1], [0, 0, 0.5]]}
//
// A response is of the first class whose pattern (PCRE2, UTF-8) matches in it; a class without a
// pattern, the last one, takes the rest. preferences[r][c]: probability that a response of class r
// is preferred to one of class c.
#ifndef ATTUNE_ORACLE_TABLE_JUDGE_H_
#define ATTUNE_ORACLE_TABLE_JUDGE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "oracle/judge.h"

namespace attune {

// `path` names the file in errors. INVALID_ARGUMENT names what is wrong with `content`, all of it
// up to 20 problems: keys and types; 1 to kClassesMax classes with different names; patterns that
// compile, and no class behind one without; as many rows and columns as classes; p in [0, 1], p_rc
// + p_cr = 1 (within 1e-9), p_rr = 1/2. A response of no class fails the verdict.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> ParseTableJudge(
    const std::string& path, absl::string_view content);

// The same of the file `path`. INVALID_ARGUMENT too when it does not exist, may not be read or is
// larger than kTableBytesMax; UNAVAILABLE: the file system failed.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeTableJudge(const std::string& path);

inline constexpr int kClassesMax = 256;
inline constexpr uint64_t kTableBytesMax = 4 << 20;

}  // namespace attune

#endif  // ATTUNE_ORACLE_TABLE_JUDGE_H_
