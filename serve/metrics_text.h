// What a server has done, in Prometheus' text format.
#ifndef ATTUNE_SERVE_METRICS_TEXT_H_
#define ATTUNE_SERVE_METRICS_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/container/btree_map.h"
#include "model/engine_thread.h"

namespace attune {

// `replies`: number of replies by HTTP status.
std::string MetricsText(const EngineThread::State& state,
                        const absl::btree_map<int, int64_t>& replies);

}  // namespace attune

#endif  // ATTUNE_SERVE_METRICS_TEXT_H_
