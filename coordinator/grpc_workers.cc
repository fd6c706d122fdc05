#include "coordinator/grpc_workers.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "attune/v1/oracle.grpc.pb.h"
#include "attune/v1/rollout.grpc.pb.h"
#include "common/log.h"
#include "common/status_macros.h"
#include "coordinator/gang_call.h"
#include "coordinator/judging.h"
#include "coordinator/task_pool.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"

namespace attune {
namespace {

constexpr size_t kPromptsPerSampleTask = 8;  // small enough to lose and repeat
// The last responses of a call leave a worker's batch half empty unless other calls fill it.
constexpr int kSampleCallsPerWorker = 4;
constexpr size_t kItemsPerJudgeTask = 64;
constexpr size_t kChannelsMax = 1024;
constexpr absl::Duration kSampleTimeout = absl::Minutes(10);
constexpr absl::Duration kJudgeTimeout = absl::Minutes(10);
constexpr absl::Duration kLoadTimeout = absl::Minutes(10);

// One unary call with a deadline that ends early when `stop` is requested.
template <typename Request, typename Response, typename Method>
absl::Status Call(Method method, absl::Duration timeout, const std::stop_token& stop,
                  const Request& request, Response* response) {
  grpc::ClientContext context;
  SetDeadline(context, timeout);
  std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  return FromGrpcStatus(method(&context, request, response));
}

// The slices of `count` items in tasks of `size`.
struct Slice {
  size_t begin;
  size_t end;
};
Slice TaskSlice(size_t task, size_t size, size_t count) {
  return {.begin = task * size, .end = std::min(count, (task + 1) * size)};
}
size_t TaskCount(size_t count, size_t size) { return (count + size - 1) / size; }

template <typename Item>
std::vector<Item> Flatten(std::vector<std::vector<Item>> parts) {
  std::vector<Item> all;
  for (std::vector<Item>& part : parts) {
    all.insert(all.end(), std::make_move_iterator(part.begin()),
               std::make_move_iterator(part.end()));
  }
  return all;
}

}  // namespace

void GrpcWorkers::SetSelf(const std::string& self) {
  absl::MutexLock lock(&mu_);
  self_ = self;
}

std::shared_ptr<grpc::Channel> GrpcWorkers::ChannelTo(const std::string& address) {
  absl::MutexLock lock(&mu_);
  if (channels_.size() >= kChannelsMax) channels_.clear();  // calls in flight keep theirs
  std::shared_ptr<grpc::Channel>& channel = channels_[address];
  if (channel == nullptr) channel = MakeChannel(address);
  return channel;
}

absl::StatusOr<v1::DescribeModelResponse> GrpcWorkers::DescribeModel(const std::string& model_path,
                                                                     std::stop_token stop) {
  v1::DescribeModelRequest request;
  request.set_model_path(model_path);
  v1::DescribeModelResponse response;
  ATTUNE_RETURN_IF_ERROR(RunTasks(
      *membership_, {.role = v1::WORKER_ROLE_ROLLOUT}, 1, stop,
      [&](const v1::WorkerInfo& worker, size_t) {
        auto stub = v1::RolloutService::NewStub(ChannelTo(worker.address()));
        return Call([&](auto... args) { return stub->DescribeModel(args...); }, kLoadTimeout, stop,
                    request, &response);
      }));
  return response;
}

absl::StatusOr<v1::DescribeResponse> GrpcWorkers::DescribeOracle(const v1::OracleSpec& spec,
                                                                 std::stop_token stop) {
  v1::DescribeRequest request;
  *request.mutable_spec() = spec;
  v1::DescribeResponse response;
  ATTUNE_RETURN_IF_ERROR(RunTasks(
      *membership_, {.role = v1::WORKER_ROLE_ORACLE}, 1, stop,
      [&](const v1::WorkerInfo& worker, size_t) {
        auto stub = v1::OracleService::NewStub(ChannelTo(worker.address()));
        return Call([&](auto... args) { return stub->Describe(args...); }, kJudgeTimeout, stop,
                    request, &response);
      }));
  return response;
}

absl::Status GrpcWorkers::LoadPolicy(const v1::WorkerInfo& worker, const Policies& policies,
                                     std::stop_token stop) {
  v1::LoadPolicyRequest request;
  *request.mutable_policy() = policies.current;
  *request.mutable_initial() = policies.initial;
  request.set_precision(policies.precision);
  auto stub = v1::RolloutService::NewStub(ChannelTo(worker.address()));
  v1::LoadPolicyResponse response;
  ATTUNE_RETURN_IF_ERROR(Annotate(
      Call([&](auto... args) { return stub->LoadPolicy(args...); }, kLoadTimeout, stop, request,
           &response),
      absl::StrCat("loading policy ", policies.current.version().round())));
  if (response.policy().digest() != policies.current.version().digest()) {
    return absl::DataLossError(absl::StrCat(worker.id(), " loaded policy ",
                                            response.policy().digest(), " instead of ",
                                            policies.current.version().digest()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Response>> GrpcWorkers::Sample(const v1::SampleRequest& request,
                                                              const Policies& policies,
                                                              std::stop_token stop,
                                                              const ProgressCall& progress) {
  const size_t prompts = static_cast<size_t>(request.prompts_size());
  uint64_t total = prompts * request.sampling().num_generations();
  for (const v1::Prompt& prompt : request.prompts()) total += prompt.given_size();
  const size_t tasks = TaskCount(prompts, kPromptsPerSampleTask);
  std::vector<std::vector<v1::Response>> parts(tasks);  // each written by the call that did it
  std::atomic<uint64_t> done = 0;
  const TaskCall call = [&](const v1::WorkerInfo& worker, size_t task) -> absl::Status {
    v1::SampleRequest part = request;
    part.clear_prompts();
    const Slice slice = TaskSlice(task, kPromptsPerSampleTask, prompts);
    for (size_t i = slice.begin; i < slice.end; ++i) {
      *part.add_prompts() = request.prompts(static_cast<int>(i));
    }
    auto stub = v1::RolloutService::NewStub(ChannelTo(worker.address()));
    const auto sample = [&](auto... args) { return stub->Sample(args...); };
    v1::SampleResponse response;
    absl::Status status = Call(sample, kSampleTimeout, stop, part, &response);
    if (absl::IsFailedPrecondition(status)) {  // a worker that joined or restarted since
      ATTUNE_RETURN_IF_ERROR(LoadPolicy(worker, policies, stop));
      status = Call(sample, kSampleTimeout, stop, part, &response);
    }
    ATTUNE_RETURN_IF_ERROR(status);
    parts[task].assign(response.responses().begin(), response.responses().end());
    uint64_t scored = (slice.end - slice.begin) * request.sampling().num_generations();
    for (const v1::Prompt& prompt : part.prompts()) scored += prompt.given_size();
    progress(done += scored, total);
    return absl::OkStatus();
  };
  ATTUNE_RETURN_IF_ERROR(
      RunTasks(*membership_,
               {.role = v1::WORKER_ROLE_ROLLOUT, .calls_per_worker = kSampleCallsPerWorker}, tasks,
               stop, call));
  return Flatten(std::move(parts));
}

absl::StatusOr<std::vector<v1::Judgment>> GrpcWorkers::Judge(const v1::JudgeRequest& request,
                                                             std::stop_token stop,
                                                             const ProgressCall& progress) {
  const size_t items = static_cast<size_t>(request.items_size());
  const size_t tasks = TaskCount(items, kItemsPerJudgeTask);
  std::vector<std::vector<v1::Judgment>> parts(tasks);
  std::atomic<uint64_t> done = 0;
  const TaskCall call = [&](const v1::WorkerInfo& worker, size_t task) -> absl::Status {
    v1::JudgeRequest part;
    *part.mutable_spec() = request.spec();
    const Slice slice = TaskSlice(task, kItemsPerJudgeTask, items);
    for (size_t i = slice.begin; i < slice.end; ++i) {
      *part.add_items() = request.items(static_cast<int>(i));
    }
    auto stub = v1::OracleService::NewStub(ChannelTo(worker.address()));
    v1::JudgeResponse response;
    ATTUNE_RETURN_IF_ERROR(Call([&](auto... args) { return stub->Judge(args...); }, kJudgeTimeout,
                                stop, part, &response));
    ATTUNE_RETURN_IF_ERROR(CheckAnswers(part, &response));
    parts[task].assign(response.judgments().begin(), response.judgments().end());
    progress(done += slice.end - slice.begin, items);
    return absl::OkStatus();
  };
  ATTUNE_RETURN_IF_ERROR(
      RunTasks(*membership_, {.role = v1::WORKER_ROLE_ORACLE}, tasks, stop, call));
  return Flatten(std::move(parts));
}

absl::StatusOr<v1::TrainRoundResult> GrpcWorkers::Train(v1::TrainRoundRequest request,
                                                        std::stop_token stop,
                                                        const StepCall& step) {
  {
    absl::MutexLock lock(&mu_);
    request.set_coordinator(self_);
  }
  return TrainOnGang(*membership_, std::move(request), stop, step);
}

absl::Status GrpcWorkers::Publish(const Policies& policies, std::stop_token stop,
                                  const ProgressCall& progress) {
  // At least one worker must attest; those that fail now are given the policy when they next ask
  // for work, so a worker that dies here does not hold up the round.
  const std::vector<v1::WorkerInfo> workers = membership_->Live(v1::WORKER_ROLE_ROLLOUT);
  std::atomic<uint64_t> done = 0;
  std::vector<std::thread> threads;
  for (const v1::WorkerInfo& worker : workers) {
    threads.emplace_back([&, worker] {
      const absl::Status status = LoadPolicy(worker, policies, stop);
      if (!status.ok()) {
        LogWarning(worker.id(), " did not load the policy: ", status.message());
        return;
      }
      progress(++done, workers.size());
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (stop.stop_requested()) return absl::CancelledError("stopped");
  if (done > 0) return absl::OkStatus();
  return RunTasks(*membership_, {.role = v1::WORKER_ROLE_ROLLOUT}, 1, stop,
                  [&](const v1::WorkerInfo& worker, size_t) {
                    return LoadPolicy(worker, policies, stop);
                  });
}

std::vector<std::string> GrpcWorkers::WeightAddresses() const {
  std::vector<std::string> addresses;
  for (const v1::WorkerInfo& rank : membership_->LiveGang()) addresses.push_back(rank.address());
  return addresses;
}

}  // namespace attune
