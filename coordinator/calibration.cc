#include "coordinator/calibration.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/check.h"
#include "common/statistics.h"

namespace attune {
namespace {

constexpr int kFailed = -2;

int SignOf(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

// There is no tokenizer here; what judges by length is told the length in words.
uint32_t Words(const std::string& text) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t\r\n"), absl::SkipEmpty());
  return static_cast<uint32_t>(words.size());
}

// Whether the oracle prefers candidate a (1) or b (-1), or neither.
int AnswerOf(const v1::Judgment& judgment, int a, int b) {
  if (!judgment.preferences().empty()) {
    return SignOf(judgment.preferences(a * judgment.scores_size() + b) - 0.5);
  }
  return SignOf(judgment.scores(a) - judgment.scores(b));
}

}  // namespace

absl::Status CheckCalibration(const Dataset& labelled) {
  if (labelled.prompts.size() > kCalibrationRowsMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "has ", labelled.prompts.size(), " rows; at most ", kCalibrationRowsMax,
        ", which are judged after every round"));
  }
  for (const v1::Prompt& prompt : labelled.prompts) {
    const auto& given = prompt.given();
    const bool differ = std::any_of(given.begin(), given.end(), [&](const auto& response) {
      return response.score() != given[0].score();
    });
    if (differ) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "row ", prompt.index() + 1, " has no two responses with different labels"));
  }
  return absl::OkStatus();
}

v1::JudgeRequest CalibrationRequest(const v1::OracleSpec& spec, const Dataset& labelled) {
  v1::JudgeRequest request;
  *request.mutable_spec() = spec;
  for (const v1::Prompt& prompt : labelled.prompts) {
    v1::Candidates& item = *request.add_items();
    item.set_prompt_index(prompt.index());
    item.set_prompt(prompt.text());
    item.set_messages(prompt.messages());
    item.set_gold(prompt.gold());
    for (const v1::GivenResponse& response : prompt.given()) {
      item.add_responses(response.text());
      item.add_response_tokens(Words(response.text()));
    }
  }
  return request;
}

v1::Calibration Calibrate(const Dataset& labelled, absl::Span<const v1::Judgment> judgments,
                          const v1::Calibration* start) {
  ATTUNE_CHECK(judgments.size() == labelled.prompts.size());
  v1::Calibration result;
  double right = 0;
  for (size_t row = 0; row < judgments.size(); ++row) {
    const auto& given = labelled.prompts[row].given();
    for (int a = 0; a < given.size(); ++a) {
      for (int b = a + 1; b < given.size(); ++b) {
        const int label = SignOf(given[a].score() - given[b].score());
        if (label == 0) continue;
        const bool failed = judgments[row].scores().empty();
        const int answer = failed ? kFailed : label * AnswerOf(judgments[row], a, b);
        result.add_answers(answer);
        if (failed) continue;
        result.set_pairs(result.pairs() + 1);
        right += answer > 0 ? 1 : answer == 0 ? 0.5 : 0;
      }
    }
  }
  if (result.pairs() > 0) {
    const Interval interval = WilsonInterval(right, result.pairs());
    result.set_accuracy(right / result.pairs());
    result.set_accuracy_low(interval.low);
    result.set_accuracy_high(interval.high);
  }
  uint32_t both = 0, same = 0;
  for (int i = 0; i < result.answers_size() && start != nullptr; ++i) {
    if (i >= start->answers_size() || start->answers(i) == kFailed ||
        result.answers(i) == kFailed) {
      continue;
    }
    ++both;
    same += start->answers(i) == result.answers(i) ? 1 : 0;
  }
  result.set_agreement(both == 0 ? 1 : static_cast<double>(same) / both);
  return result;
}

}  // namespace attune
