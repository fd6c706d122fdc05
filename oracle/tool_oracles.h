// What the commands of attune-judge judge with: oracles from files, asked side by side.
#ifndef ATTUNE_ORACLE_TOOL_ORACLES_H_
#define ATTUNE_ORACLE_TOOL_ORACLES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "attune/v1/oracle.pb.h"
#include "common/metrics.h"
#include "model/tokenizer/tokenizer.h"
#include "oracle/judge.h"
#include "oracle/judge_factory.h"

namespace attune {

struct NamedJudge {
  std::string name;  // of its file, without folder and ending; the path where two would be the same
  std::shared_ptr<const Judge> judge;
  int threads;  // decisions at once: calls to services wait, models here need a processor
};

// The oracles of a command, with what they share.
class OracleSet {
 public:
  // One for each oracle file (spec/oracle_file.h), at least one. Errors name the file.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const OracleSet>> Load(
      absl::Span<const std::string> files);

  const std::vector<NamedJudge>& judges() const { return judges_; }  // by file

 private:
  explicit OracleSet(std::unique_ptr<Metrics> metrics)
      : metrics_(std::move(metrics)), factory_(*metrics_) {}
  absl::Status Add(const std::string& name, const std::string& file);

  const std::unique_ptr<Metrics> metrics_;  // counted for nobody
  JudgeFactory factory_;
  std::vector<NamedJudge> judges_;
};

struct Decision {
  absl::StatusOr<Verdict> verdict;  // complete and finite
  double seconds;
};

// By item.
std::vector<Decision> DecideAll(const NamedJudge& judge, absl::Span<const v1::Candidates> items);

// UNAVAILABLE, with what the first failure says, when all judgements failed. At least one.
absl::Status CheckAnyJudged(const NamedJudge& judge, absl::Span<const Decision> decisions);

// The probability that candidate i is preferred to j: the oracle's own or, of an oracle of scores,
// 1, 1/2 (a tie) or 0.
double PreferenceOf(const Verdict& verdict, size_t i, size_t j);

// Lengths of responses in tokens of a model or, without one, in words that white space separates.
class LengthCounter {
 public:
  // "": words.
  [[nodiscard]] static absl::StatusOr<LengthCounter> Load(const std::string& model);

  uint32_t Count(absl::string_view text) const;

 private:
  std::unique_ptr<const Tokenizer> tokenizer_;  // null: words
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_ORACLES_H_
