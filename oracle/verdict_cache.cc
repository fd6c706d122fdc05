#include "oracle/verdict_cache.h"

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "spec/answer_check.h"

namespace attune {
namespace {

class CachedJudge : public Judge {
 public:
  CachedJudge(std::shared_ptr<const Judge> judge, std::shared_ptr<VerdictCache> cache,
              size_t entries_max, std::function<void()> hit)
      : Judge(judge->oracle(), judge->digest()),
        judge_(std::move(judge)),
        cache_(std::move(cache)),
        entries_max_(entries_max),
        hit_(std::move(hit)) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    const std::string key = VerdictKey(digest(), item);
    if (std::optional<Verdict> known = cache_->Find(key); known.has_value()) {
      hit_();
      return *std::move(known);
    }
    ATTUNE_ASSIGN_OR_RETURN(Verdict verdict, judge_->Decide(item));
    ATTUNE_RETURN_IF_ERROR(CheckAnswer(verdict.scores, verdict.preferences,
                                       static_cast<size_t>(item.responses_size())));
    cache_->Put(key, verdict, entries_max_);
    return verdict;
  }

 private:
  const std::shared_ptr<const Judge> judge_;
  const std::shared_ptr<VerdictCache> cache_;
  const size_t entries_max_;
  const std::function<void()> hit_;
};

}  // namespace

std::string VerdictKey(const std::string& oracle_digest, const v1::Candidates& item) {
  Sha256 sha;
  sha.UpdateField(oracle_digest);
  sha.UpdateField(item.prompt());
  sha.UpdateField(item.messages());
  sha.UpdateField(item.gold());
  for (const std::string& response : item.responses()) sha.UpdateField(response);
  for (uint32_t tokens : item.response_tokens()) sha.UpdateField(absl::StrCat(tokens));
  return sha.HexDigest();
}

std::optional<Verdict> VerdictCache::Find(const std::string& key) {
  absl::MutexLock lock(&mu_);
  const auto it = by_key_.find(key);
  if (it == by_key_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, it->second);
  return it->second->second;
}

void VerdictCache::Put(const std::string& key, const Verdict& verdict, size_t entries_max) {
  absl::MutexLock lock(&mu_);
  const auto [it, inserted] = by_key_.try_emplace(key);
  if (inserted) {
    entries_.emplace_front(key, verdict);
    it->second = entries_.begin();
  }
  while (entries_.size() > entries_max) {
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

std::shared_ptr<const Judge> MakeCachedJudge(std::shared_ptr<const Judge> judge,
                                             std::shared_ptr<VerdictCache> cache,
                                             size_t entries_max, std::function<void()> hit) {
  return std::make_shared<const CachedJudge>(std::move(judge), std::move(cache), entries_max,
                                             std::move(hit));
}

}  // namespace attune
