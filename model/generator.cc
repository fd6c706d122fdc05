#include "model/generator.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "model/engine.h"

namespace attune {
namespace {

using Responses = std::vector<std::vector<Generation>>;

// The policy, whose owner waits for the engine.
std::shared_ptr<const Policy> Borrowed(const Policy& policy) {
  return std::shared_ptr<const Policy>(std::shared_ptr<const Policy>(), &policy);
}

absl::StatusOr<Responses> GenerateWith(const EngineRequest& common,
                                       absl::Span<const GenerationRequest> requests, int threads) {
  const EngineOptions options = {.threads = threads,
                                 .cache_bytes = std::numeric_limits<int64_t>::max() / 2};
  Engine engine(options);
  Responses results(requests.size());
  absl::Status failure;
  for (size_t r = 0; r < requests.size(); ++r) {
    EngineRequest request = common;
    request.prompt_ids = requests[r].prompt_ids;
    request.sample_keys = requests[r].sample_keys;
    results[r].resize(request.sample_keys.size());
    request.on_done = [&failure, &result = results[r]](size_t sample,
                                                       absl::StatusOr<Generation> response) {
      failure.Update(response.status());
      if (response.ok()) result[sample] = *std::move(response);
    };
    const absl::Status status = Engine::Check(options, request);
    if (!status.ok()) return Annotate(status, absl::StrCat("cannot answer prompt ", r));
    engine.Add(r, std::move(request));
  }
  while (!engine.idle() && failure.ok()) engine.Step();
  if (!failure.ok()) return failure;
  return results;
}

}  // namespace

absl::StatusOr<Responses> Generate(const Policy& policy,
                                   absl::Span<const GenerationRequest> requests,
                                   const SamplingOptions& options, int threads) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  EngineRequest common;
  common.policy = Borrowed(policy);
  common.options = options;
  return GenerateWith(common, requests, threads);
}

absl::StatusOr<Responses> GenerateMixture(const Policy& policy, const Policy& other,
                                          double other_weight,
                                          absl::Span<const GenerationRequest> requests,
                                          const SamplingOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  EngineRequest common;
  common.policy = Borrowed(policy);
  common.other = Borrowed(other);
  common.other_weight = other_weight;
  common.options = options;
  return GenerateWith(common, requests, /*threads=*/1);
}

absl::StatusOr<Generation> GenerateOne(const Policy& policy, absl::Span<const int32_t> prompt_ids,
                                       uint64_t sample_key, const SamplingOptions& options,
                                       absl::FunctionRef<bool(int32_t)> take) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(options));
  EngineRequest common;
  common.policy = Borrowed(policy);
  common.options = options;
  common.on_token = [take](size_t, const Generation& so_far) {
    return take(so_far.token_ids.back());
  };
  ATTUNE_ASSIGN_OR_RETURN(
      Responses responses,
      GenerateWith(common, {{{prompt_ids.begin(), prompt_ids.end()}, {sample_key}}},
                   /*threads=*/1));
  return std::move(responses[0][0]);
}

}  // namespace attune
