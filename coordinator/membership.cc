#include "coordinator/membership.h"

#include <algorithm>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/log.h"

namespace attune {
namespace {

std::string Describe(const v1::WorkerInfo& worker) {
  return absl::StrCat(v1::WorkerRole_Name(worker.role()), " ", worker.id(), " at ",
                      worker.address());
}

}  // namespace

absl::Status Membership::Register(v1::WorkerInfo worker) {
  if (worker.id().empty() || worker.address().empty() ||
      worker.role() == v1::WORKER_ROLE_UNSPECIFIED) {
    return absl::InvalidArgumentError("a worker needs id, role and address");
  }
  if (worker.role() == v1::WORKER_ROLE_TRAINER &&
      (worker.gang_id().empty() || worker.rank() >= worker.world_size())) {
    return absl::InvalidArgumentError(absl::StrCat("trainer rank ", worker.rank(), " of ",
                                                   worker.world_size(), " in gang \"",
                                                   worker.gang_id(), "\" makes no sense"));
  }
  worker.mutable_last_heartbeat_time()->set_seconds(absl::ToUnixSeconds(WallTime()));
  const absl::Duration now = MonotonicTime();
  absl::MutexLock lock(&mu_);
  for (auto it = workers_.begin(); it != workers_.end();) {
    const bool silent = now - it->second.heard > kExpiresAfter;
    if (silent) {
      LogWarning("lost ", Describe(it->second.worker), ": silent for ",
                 absl::FormatDuration(now - it->second.heard));
    }
    it = silent ? workers_.erase(it) : std::next(it);
  }
  const std::string id = worker.id();
  auto it = workers_.find(id);
  if (it == workers_.end()) {
    if (workers_.size() >= kWorkersMax) {
      return absl::ResourceExhaustedError(absl::StrCat("there are ", kWorkersMax, " workers"));
    }
    LogInfo("joined: ", Describe(worker));
    it = workers_.emplace(id, Entry{.arrived = now}).first;
  }
  it->second.worker = std::move(worker);
  it->second.heard = now;
  return absl::OkStatus();
}

void Membership::Leave(const std::string& id) {
  absl::MutexLock lock(&mu_);
  const auto it = workers_.find(id);
  if (it == workers_.end()) return;
  LogInfo("left: ", Describe(it->second.worker));
  workers_.erase(it);
}

std::vector<v1::WorkerInfo> Membership::Live() const {
  const absl::Duration now = MonotonicTime();
  std::vector<v1::WorkerInfo> live;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [id, entry] : workers_) {
      if (now - entry.heard <= kExpiresAfter) live.push_back(entry.worker);
    }
  }
  std::sort(live.begin(), live.end(), [](const v1::WorkerInfo& a, const v1::WorkerInfo& b) {
    return std::make_tuple(a.role(), a.rank(), a.id()) <
           std::make_tuple(b.role(), b.rank(), b.id());
  });
  return live;
}

std::vector<v1::WorkerInfo> Membership::Live(v1::WorkerRole role) const {
  std::vector<v1::WorkerInfo> live = Live();
  live.erase(std::remove_if(live.begin(), live.end(),
                            [&](const v1::WorkerInfo& worker) { return worker.role() != role; }),
             live.end());
  return live;
}

std::vector<v1::WorkerInfo> Membership::LiveGang() const {
  std::map<std::string, std::vector<v1::WorkerInfo>> gangs;  // ranks in order
  for (v1::WorkerInfo& worker : Live(v1::WORKER_ROLE_TRAINER)) {
    gangs[worker.gang_id()].push_back(std::move(worker));
  }
  std::vector<v1::WorkerInfo> newest;
  absl::Duration newest_arrival = -absl::InfiniteDuration();
  absl::MutexLock lock(&mu_);
  for (auto& [id, gang] : gangs) {
    if (gang.size() != gang[0].world_size()) continue;
    const auto entry = workers_.find(gang[0].id());
    if (entry == workers_.end() || entry->second.arrived < newest_arrival) continue;
    newest_arrival = entry->second.arrived;
    newest = std::move(gang);
  }
  return newest;
}

}  // namespace attune
