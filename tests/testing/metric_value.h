// What a process counts, as Prometheus would read it.
#ifndef ATTUNE_TESTS_TESTING_METRIC_VALUE_H_
#define ATTUNE_TESTS_TESTING_METRIC_VALUE_H_

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/check.h"
#include "common/metrics.h"
#include "tests/testing/http_get.h"

namespace attune {

// New metrics that are served. They live to the end of the process: to stop serving takes seconds.
inline Metrics& ServedMetrics() {
  static auto& all = *new std::vector<std::unique_ptr<Metrics>>();
  auto metrics = Metrics::Create("127.0.0.1:0", "test");
  ATTUNE_CHECK(metrics.ok());
  all.push_back(*std::move(metrics));
  return *all.back();
}

// Of a series as it is written on /metrics, such as `a_total{x="1"}`; 0 if there is none. The
// metrics must be served.
inline double MetricValue(const Metrics& metrics, const std::string& series) {
  const std::string page = HttpGet(metrics.address(), "/metrics");
  const size_t line = page.find("\n" + series + " ");
  if (line == std::string::npos) return 0;
  return std::strtod(page.c_str() + line + series.size() + 2, nullptr);
}

}  // namespace attune

#endif  // ATTUNE_TESTS_TESTING_METRIC_VALUE_H_
