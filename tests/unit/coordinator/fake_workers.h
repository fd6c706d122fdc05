// Workers that answer at once with made-up but deterministic results, and fail on demand.
#ifndef ATTUNE_TESTS_UNIT_COORDINATOR_FAKE_WORKERS_H_
#define ATTUNE_TESTS_UNIT_COORDINATOR_FAKE_WORKERS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rng.h"
#include "coordinator/workers.h"

namespace attune {

class FakeWorkers final : public Workers {
 public:
  // Called before every call with its number, from 1; an error is the call's answer.
  std::function<absl::Status(int)> before_call = [](int) { return absl::OkStatus(); };
  int calls = 0;
  // Why an item cannot be judged; empty: it can be.
  std::function<std::string(const v1::Candidates&)> fail_judgment = [](const v1::Candidates&) {
    return std::string();
  };
  std::function<void()> before_train = [] {};
  std::vector<int> judged_items;  // of each Judge call
  // Of a response, whose text begins with "round R" for the policy of round R.
  std::function<double(const std::string&)> score = [](const std::string& text) {
    return static_cast<double>(Crc32c(text) % 1000);
  };
  int publishes = 0;
  std::vector<std::string> sampled;  // digests of the policies that were asked to sample

  absl::StatusOr<v1::DescribeModelResponse> DescribeModel(const std::string&,
                                                          std::stop_token) override {
    if (absl::Status status = before_call(++calls); !status.ok()) return status;
    v1::DescribeModelResponse response;
    response.set_weights_digest(Sha256Hex("initial"));
    return response;
  }
  absl::StatusOr<v1::DescribeResponse> DescribeOracle(const v1::OracleSpec&,
                                                      std::stop_token) override {
    return v1::DescribeResponse();
  }

  absl::StatusOr<std::vector<v1::Response>> Sample(const v1::SampleRequest& request,
                                                   const Policies&, std::stop_token,
                                                   const ProgressCall& progress) override {
    if (absl::Status status = before_call(++calls); !status.ok()) return status;
    sampled.push_back(request.policy().digest());
    std::vector<v1::Response> responses;
    for (const v1::Prompt& prompt : request.prompts()) {
      for (uint32_t sample = 0; sample < request.sampling().num_generations(); ++sample) {
        responses.push_back(MakeResponse(request, prompt.index(), sample));
      }
      uint32_t next = request.sampling().num_generations();
      for (const v1::GivenResponse& given : prompt.given()) {
        responses.push_back(MakeResponse(request, prompt.index(), next++));
        responses.back().set_text(given.text());
        responses.back().set_provenance(v1::PROVENANCE_GIVEN);
        responses.back().set_finish_reason(v1::FINISH_REASON_STOP);
      }
    }
    progress(responses.size(), responses.size());
    return responses;
  }

  absl::StatusOr<std::vector<v1::Judgment>> Judge(const v1::JudgeRequest& request, std::stop_token,
                                                  const ProgressCall&) override {
    if (absl::Status status = before_call(++calls); !status.ok()) return status;
    judged_items.push_back(request.items_size());
    std::vector<v1::Judgment> judgments;
    for (const v1::Candidates& item : request.items()) {
      v1::Judgment& judgment = judgments.emplace_back();
      judgment.set_prompt_index(item.prompt_index());
      judgment.set_failure(fail_judgment(item));
      if (!judgment.failure().empty()) continue;
      for (const std::string& text : item.responses()) {
        judgment.add_scores(score(text));
      }
    }
    return judgments;
  }

  absl::StatusOr<v1::TrainRoundResult> Train(v1::TrainRoundRequest request, std::stop_token,
                                             const StepCall& step) override {
    if (absl::Status status = before_call(++calls); !status.ok()) return status;
    before_train();
    v1::StepMetrics metrics;
    metrics.set_step(1);
    metrics.set_steps(1);
    (*metrics.mutable_values())["loss"] = 0.5;
    step(metrics);
    if (absl::Status status = CreateDirectories(request.output_path()); !status.ok()) return status;
    v1::TrainRoundResult result;
    result.mutable_policy()->set_round(request.round());
    result.mutable_policy()->set_digest(
        Sha256Hex(absl::StrCat(request.input().version().digest(), request.round())));
    result.mutable_probe()->set_pairs(request.pairs());
    result.mutable_probe()->set_chosen_change(0.25);
    return result;
  }

  absl::Status Publish(const Policies&, std::stop_token, const ProgressCall&) override {
    ++publishes;
    return before_call(++calls);
  }
  std::vector<std::string> WeightAddresses() const override { return {}; }

 private:
  static v1::Response MakeResponse(const v1::SampleRequest& request, uint32_t prompt,
                                   uint32_t sample) {
    const CounterRng rng({request.seed(), request.round(), prompt, sample});
    v1::Response response;
    response.set_prompt_index(prompt);
    response.set_sample(sample);
    response.add_prompt_token_ids(1);
    for (int t = 0; t < 4; ++t) {
      response.add_token_ids(static_cast<uint32_t>(rng.Below(t, 500)));
      response.add_logps(-0.5f);
      if (request.with_initial_logps()) response.add_initial_logps(-0.75f);
    }
    response.set_text(absl::StrCat("round ", request.policy().round(), " words ", rng.Bits(9)));
    *response.mutable_policy() = request.policy();
    return response;
  }
};

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_COORDINATOR_FAKE_WORKERS_H_
