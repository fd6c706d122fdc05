// The services outside that judges are asked of, and the verdicts that they gave.
#ifndef ATTUNE_ORACLE_JUDGE_ENDPOINT_H_
#define ATTUNE_ORACLE_JUDGE_ENDPOINT_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "attune/v1/oracle_spec.pb.h"
#include "common/metrics.h"
#include "oracle/judge.h"
#include "oracle/verdict_cache.h"
#include "rpc/endpoint.h"

namespace attune {

// Thread-safe.
class JudgeEndpoint final : public Endpoint {
 public:
  // `metrics` and `calls` must outlive it.
  JudgeEndpoint(const std::string& oracle, const std::string& address, CallMetrics& calls,
                Metrics& metrics)
      : Endpoint(oracle, address, calls), metrics_(metrics) {}

  // `judge`, which asks this endpoint, with the verdicts kept that were given (0 entries: itself).
  // Verdicts known already are counted in attune_oracle_cache_hits_total.
  std::shared_ptr<const Judge> Cached(const v1::CallSpec& calls,
                                      std::shared_ptr<const Judge> judge);

 private:
  Metrics& metrics_;
  const std::shared_ptr<VerdictCache> cache_ = std::make_shared<VerdictCache>();
};

// The endpoints of a process. Thread-safe.
class Endpoints {
 public:
  explicit Endpoints(Metrics& metrics) : metrics_(metrics), calls_(metrics, "oracle") {}

  // The one of that address; must not outlive this object.
  std::shared_ptr<JudgeEndpoint> Find(const std::string& oracle, const std::string& address);

  // Beyond it, those that nobody uses are forgotten.
  static constexpr size_t kEndpointsMax = 64;

 private:
  Metrics& metrics_;
  CallMetrics calls_;
  absl::Mutex mu_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<JudgeEndpoint>> endpoints_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_JUDGE_ENDPOINT_H_
