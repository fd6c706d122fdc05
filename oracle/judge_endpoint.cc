#include "oracle/judge_endpoint.h"

namespace attune {

std::shared_ptr<const Judge> JudgeEndpoint::Cached(const v1::CallSpec& calls,
                                                   std::shared_ptr<const Judge> judge) {
  if (calls.cache_entries() == 0) return judge;
  return MakeCachedJudge(
      std::move(judge), cache_, calls.cache_entries(), [&metrics = metrics_, oracle = kind()] {
        metrics.Add("attune_oracle_cache_hits_total", "Verdicts that were known already.", 1,
                    {{"oracle", oracle}});
      });
}

std::shared_ptr<JudgeEndpoint> Endpoints::Find(const std::string& oracle,
                                               const std::string& address) {
  absl::MutexLock lock(&mu_);
  const auto it = endpoints_.find({oracle, address});
  if (it != endpoints_.end()) return it->second;
  if (endpoints_.size() >= kEndpointsMax) {
    std::erase_if(endpoints_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }
  auto endpoint = std::make_shared<JudgeEndpoint>(oracle, address, calls_, metrics_);
  endpoints_.emplace(std::pair(oracle, address), endpoint);
  return endpoint;
}

}  // namespace attune
