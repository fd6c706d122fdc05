// Verdicts that were expensive to get, by content, so that asking again costs nothing.
#ifndef ATTUNE_ORACLE_VERDICT_CACHE_H_
#define ATTUNE_ORACLE_VERDICT_CACHE_H_

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/oracle.pb.h"
#include "oracle/judge.h"

namespace attune {

// SHA-256, hex, of the digest of an oracle and of what it looks at: the prompt, the dataset's
// answer, the responses and their lengths. The index of the prompt is no part of it.
std::string VerdictKey(const std::string& oracle_digest, const v1::Candidates& item);

// Forgets the verdict used longest ago. Thread-safe.
class VerdictCache {
 public:
  std::optional<Verdict> Find(const std::string& key);
  // Afterwards there are at most `entries_max` verdicts.
  void Put(const std::string& key, const Verdict& verdict, size_t entries_max);

 private:
  using Entry = std::pair<std::string, Verdict>;

  absl::Mutex mu_;
  std::list<Entry> entries_ ABSL_GUARDED_BY(mu_);  // most recently used first
  absl::flat_hash_map<std::string, std::list<Entry>::iterator> by_key_ ABSL_GUARDED_BY(mu_);
};

// `judge`, asked only for what is not in the cache. What failed is not kept, nor what CheckAnswer
// refuses. `hit` is called for each verdict that was found; it must be thread-safe.
std::shared_ptr<const Judge> MakeCachedJudge(std::shared_ptr<const Judge> judge,
                                             std::shared_ptr<VerdictCache> cache,
                                             size_t entries_max, std::function<void()> hit);

}  // namespace attune

#endif  // ATTUNE_ORACLE_VERDICT_CACHE_H_
