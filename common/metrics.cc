#include "common/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace attune {
namespace {

const prometheus::Histogram::BucketBoundaries& SecondsBuckets() {
  static const auto& buckets = *new prometheus::Histogram::BucketBoundaries{
      0.001, 0.005, 0.02, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200};
  return buckets;
}

}  // namespace

struct Metrics::State {
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<prometheus::Exposer> exposer;
  std::string address;
  absl::Mutex mu;
  std::map<std::string, prometheus::Family<prometheus::Counter>*> counters ABSL_GUARDED_BY(mu);
  std::map<std::string, prometheus::Family<prometheus::Gauge>*> gauges ABSL_GUARDED_BY(mu);
  std::map<std::string, prometheus::Family<prometheus::Histogram>*> histograms ABSL_GUARDED_BY(mu);

  // The family of that name, registered at its first use.
  template <typename Metric, typename Builder>
  prometheus::Family<Metric>& Find(std::map<std::string, prometheus::Family<Metric>*>& families,
                                   Builder build, const std::string& name, const std::string& help)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    auto [it, inserted] = families.try_emplace(name, nullptr);
    if (inserted) it->second = &build().Name(name).Help(help).Register(*registry);
    return *it->second;
  }
};

absl::StatusOr<std::unique_ptr<Metrics>> Metrics::Create(const std::string& address,
                                                         const std::string& role) {
  auto state = std::make_unique<State>();
  if (!address.empty()) {
    try {
      state->exposer = std::make_unique<prometheus::Exposer>(address, /*num_threads=*/1);
    } catch (const std::exception& error) {
      return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", address, ": ",
                                                 error.what(), "; is the port in use?"));
    }
    state->exposer->RegisterCollectable(state->registry);
    const int port = state->exposer->GetListeningPorts().at(0);
    state->address = absl::StrCat(address.substr(0, address.rfind(':')), ":", port);
  }
  std::unique_ptr<Metrics> metrics(new Metrics(std::move(state)));
  metrics->Set("attune_build_info", "Always 1; version and role of this process.", 1,
               {{"version", "0.1.0"}, {"role", role}});
  return metrics;
}

Metrics::Metrics(std::unique_ptr<State> state) : state_(std::move(state)) {}
Metrics::~Metrics() = default;

const std::string& Metrics::address() const { return state_->address; }

void Metrics::Add(const std::string& name, const std::string& help, double amount,
                  const MetricLabels& labels) {
  absl::MutexLock lock(&state_->mu);
  state_->Find(state_->counters, prometheus::BuildCounter, name, help)
      .Add(labels)
      .Increment(amount);
}

void Metrics::Set(const std::string& name, const std::string& help, double value,
                  const MetricLabels& labels) {
  absl::MutexLock lock(&state_->mu);
  state_->Find(state_->gauges, prometheus::BuildGauge, name, help).Add(labels).Set(value);
}

void Metrics::Observe(const std::string& name, const std::string& help, double seconds,
                      const MetricLabels& labels) {
  absl::MutexLock lock(&state_->mu);
  state_->Find(state_->histograms, prometheus::BuildHistogram, name, help)
      .Add(labels, SecondsBuckets())
      .Observe(seconds);
}

void Metrics::Observe(const std::string& name, const std::string& help, const DurationCounts& now,
                      const DurationCounts& before, const MetricLabels& labels) {
  std::vector<double> increments;
  for (size_t i = 0; i < now.counts.size(); ++i) {
    increments.push_back(static_cast<double>(now.counts[i] - before.counts[i]));
  }
  const prometheus::Histogram::BucketBoundaries bounds(DurationCounts::kBounds.begin(),
                                                       DurationCounts::kBounds.end());
  absl::MutexLock lock(&state_->mu);
  state_->Find(state_->histograms, prometheus::BuildHistogram, name, help)
      .Add(labels, bounds)
      .ObserveMultiple(increments, now.sum - before.sum);
}

}  // namespace attune
