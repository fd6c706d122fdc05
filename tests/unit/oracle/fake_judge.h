// An oracle that a test writes.
#ifndef ATTUNE_TESTS_UNIT_ORACLE_FAKE_JUDGE_H_
#define ATTUNE_TESTS_UNIT_ORACLE_FAKE_JUDGE_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "oracle/judge.h"
#include "oracle/tool_oracles.h"

namespace attune {

using Verdicts = std::function<absl::StatusOr<Verdict>(const v1::Candidates&)>;

class FakeJudge : public Judge {
 public:
  explicit FakeJudge(Verdicts verdicts) : Judge("fake/1", "d"), verdicts_(std::move(verdicts)) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    return verdicts_(item);
  }

 private:
  const Verdicts verdicts_;
};

inline NamedJudge FakeOracle(const std::string& name, Verdicts verdicts) {
  return {name, std::make_shared<const FakeJudge>(std::move(verdicts)), 2};
}

// Scores of each candidate by its text and place.
inline NamedJudge ScoringOracle(const std::string& name,
                                std::function<double(const std::string& text, int place)> score) {
  return FakeOracle(name, [score](const v1::Candidates& item) {
    Verdict verdict;
    for (int i = 0; i < item.responses_size(); ++i) {
      verdict.scores.push_back(score(item.responses(i), i));
    }
    return verdict;
  });
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_ORACLE_FAKE_JUDGE_H_
