// Prometheus metrics of one process, served on /metrics. Families are named attune_..., in base
// units; labels are few and bounded (job, worker, phase, reason). Thread-safe.
#ifndef ATTUNE_COMMON_METRICS_H_
#define ATTUNE_COMMON_METRICS_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/duration_counts.h"

namespace attune {

using MetricLabels = std::map<std::string, std::string>;

class Metrics {
 public:
  // Serves on `address` ("host:port"; port 0 picks one; empty: counts but does not serve).
  // `role` is a label of attune_build_info.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Metrics>> Create(const std::string& address,
                                                                       const std::string& role);
  ~Metrics();

  // host:port actually bound; empty if not served.
  const std::string& address() const;

  // A family keeps the help text of its first use.
  // Counter; the name ends in _total.
  void Add(const std::string& name, const std::string& help, double amount,
           const MetricLabels& labels = {});
  // Gauge.
  void Set(const std::string& name, const std::string& help, double value,
           const MetricLabels& labels = {});
  // Histogram of seconds, 1 ms to about 20 minutes.
  void Observe(const std::string& name, const std::string& help, double seconds,
               const MetricLabels& labels = {});
  // Histogram of durations counted elsewhere: adds what `now` has more than `before`.
  void Observe(const std::string& name, const std::string& help, const DurationCounts& now,
               const DurationCounts& before, const MetricLabels& labels = {});

 private:
  struct State;
  explicit Metrics(std::unique_ptr<State> state);

  const std::unique_ptr<State> state_;
};

}  // namespace attune

#endif  // ATTUNE_COMMON_METRICS_H_
