#include "oracle/tool_judge.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status_macros.h"
#include "oracle/tool_json.h"
#include "oracle/tool_oracles.h"
#include "spec/dataset_rows.h"

namespace attune {
namespace {

// Fills `item`; what is wrong with the line, or "".
std::string ReadItem(const std::string& line, const LengthCounter& lengths, v1::Candidates* item) {
  ToolJson row = ToolJson::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return "it is not a JSON object";
  const auto it = row.find("responses");
  if (it == row.end() || !it->is_array() || it->empty()) {
    return "it has no \"responses\" that lists at least one text";
  }
  for (const ToolJson& response : *it) {
    if (!response.is_string()) {
      return absl::StrCat("\"responses\" must be texts, one is ", response.type_name());
    }
    item->add_responses(response.get<std::string>());
    item->add_response_tokens(lengths.Count(item->responses().rbegin()[0]));
  }
  v1::Prompt prompt;
  row.erase(it);  // what is left is a prompt as in a dataset
  std::string problem = ReadRow(row, &prompt);
  item->set_prompt(prompt.text());
  item->set_gold(prompt.gold());
  item->set_messages(prompt.messages());
  return problem;
}

absl::StatusOr<std::vector<v1::Candidates>> ReadItems(const LengthCounter& lengths,
                                                      std::istream& in) {
  std::vector<v1::Candidates> items;
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    v1::Candidates item;
    const std::string problem = ReadItem(line, lengths, &item);
    if (!problem.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot use line ", number, " of the input: ", problem));
    }
    item.set_prompt_index(static_cast<uint32_t>(items.size()));
    items.push_back(std::move(item));
  }
  return items;
}

ToolJson VerdictJson(const Verdict& verdict) {
  ToolJson line = {{"scores", verdict.scores}};
  const size_t candidates = verdict.scores.size();
  if (!verdict.preferences.empty()) {
    ToolJson rows = ToolJson::array();
    for (size_t i = 0; i < candidates; ++i) {
      const auto row = verdict.preferences.begin() + static_cast<ptrdiff_t>(i * candidates);
      rows.push_back(std::vector<double>(row, row + static_cast<ptrdiff_t>(candidates)));
    }
    line["preferences"] = std::move(rows);
  }
  if (verdict.swaps > 0) {
    line["swaps"] = verdict.swaps;
    line["swaps_agreed"] = verdict.swaps_agreed;
  }
  return line;
}

}  // namespace

absl::Status RunJudge(const JudgeCommand& command, std::istream& in, std::ostream& out) {
  ATTUNE_ASSIGN_OR_RETURN(const auto oracles, OracleSet::Load({command.oracle}));
  ATTUNE_ASSIGN_OR_RETURN(const LengthCounter lengths, LengthCounter::Load(command.model));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<v1::Candidates> items, ReadItems(lengths, in));
  const NamedJudge& judge = oracles->judges()[0];
  size_t failed = 0;
  for (const Decision& decision : DecideAll(judge, items)) {
    ToolJson line;
    if (decision.verdict.ok()) {
      line = VerdictJson(*decision.verdict);
    } else {
      ++failed;
      line["failure"] = std::string(decision.verdict.status().message());
    }
    line["oracle"] = judge.judge->oracle();
    line["oracle_digest"] = judge.judge->digest();
    WriteLine(line, out);
  }
  ATTUNE_RETURN_IF_ERROR(CheckWritten(out));
  if (failed == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(failed, " of ", items.size(), " judgements failed; their lines say why"));
}

}  // namespace attune
