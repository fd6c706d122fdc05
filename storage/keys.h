// Column families and keys of the store, built and parsed here alone. docs/data_format.md describes
// every byte. Integers in keys are big-endian, so that the order of bytes is the order of numbers.
#ifndef ATTUNE_STORAGE_KEYS_H_
#define ATTUNE_STORAGE_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace attune {

// The names on disk are those of kColumnFamilyNames. Neither numbers nor names are ever changed or
// reused; a new family goes to the end, together with a new kSchemaVersion.
enum class ColumnFamily : uint32_t {
  kMeta = 0,              // see kSchemaVersionKey, kNextOrdinalKey
  kJobs = 1,              // OrdinalKey -> Job
  kJobNames = 2,          // name, "jobs/{job}" -> ordinal, EncodeU64
  kRequests = 3,          // request_id -> ordinal, EncodeU64
  kRounds = 4,            // RoundKey -> RoundRecord
  kResponses = 5,         // ResponseKey -> Response
  kJudgments = 6,         // RoundItemKey(prompt_index) -> Judgment
  kHoldoutJudgments = 7,  // RoundItemKey(prompt_index) -> Judgment
  kPairs = 8,             // RoundItemKey(index) -> Pair
  kEvents = 9,            // EventKey -> JobEvent
  kHoldoutResponses = 10,  // RoundItemKey(prompt_index) -> Response; since version 2
};

inline constexpr size_t kColumnFamilies = 11;
inline constexpr std::array<const char*, kColumnFamilies> kColumnFamilyNames = {
    "meta",      "jobs",      "job_names",         "requests", "rounds",
    "responses", "judgments", "holdout_judgments", "pairs",    "events",
    "holdout_responses"};

// What this version of Attune reads and writes; stored under kSchemaVersionKey as EncodeU64.
inline constexpr uint64_t kSchemaVersion = 2;
inline constexpr absl::string_view kSchemaVersionKey = "schema_version";
// The ordinal of the next job, EncodeU64; ordinals begin with 1.
inline constexpr absl::string_view kNextOrdinalKey = "next_ordinal";

// 8 bytes, big-endian.
std::string EncodeU64(uint64_t value);
// Empty unless `bytes` are 8.
std::optional<uint64_t> DecodeU64(absl::string_view bytes);

std::string OrdinalKey(uint64_t job_ordinal);                                   // 8 bytes
std::string RoundKey(uint64_t job_ordinal, uint32_t round);                     // 8 + 4
std::string RoundItemKey(uint64_t job_ordinal, uint32_t round, uint32_t item);  // 8 + 4 + 4
std::string ResponseKey(uint64_t job_ordinal, uint32_t round, uint32_t prompt_index,
                        uint32_t sample);                       // 8 + 4 + 4 + 4
std::string EventKey(uint64_t job_ordinal, uint64_t sequence);  // 8 + 8

// The least key above all keys that begin with `prefix`; empty if there is none.
std::string PrefixEnd(absl::string_view prefix);

}  // namespace attune

#endif  // ATTUNE_STORAGE_KEYS_H_
