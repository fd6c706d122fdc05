// `attune judge`: the verdicts of an oracle, line by line.
#ifndef ATTUNE_ORACLE_TOOL_JUDGE_H_
#define ATTUNE_ORACLE_TOOL_JUDGE_H_

#include <istream>
#include <ostream>
#include <string>

#include "absl/status/status.h"

namespace attune {

struct JudgeCommand {
  std::string oracle;  // file
  std::string model;   // directory whose tokenizer counts tokens; "": words are counted
};

// JSON lines {"prompt" or "messages", "responses": [text, ...], optional "gold" or "answer"} ->
// {"scores", "preferences" (by row; of an oracle that gives probabilities), "swaps" and
// "swaps_agreed" (of one that asks in both orders), "oracle", "oracle_digest"}, or {"failure",
// "oracle", "oracle_digest"}. All lines are read before any is judged: INVALID_ARGUMENT names the
// first bad one and nothing is written. UNAVAILABLE, after all lines are answered, when a judgement
// failed.
absl::Status RunJudge(const JudgeCommand& command, std::istream& in, std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_ORACLE_TOOL_JUDGE_H_
