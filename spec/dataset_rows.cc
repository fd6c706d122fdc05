#include "spec/dataset_rows.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace attune {
namespace {

constexpr size_t kGivenMax = 64;

std::string Quoted(absl::string_view key) { return absl::StrCat("\"", key, "\""); }

// Null counts as left out.
const RowJson* Find(const RowJson& row, const char* key) {
  const auto it = row.find(key);
  return it == row.end() || it->is_null() ? nullptr : &*it;
}

bool Has(const RowJson& row, const char* key) { return Find(row, key) != nullptr; }

std::string Missing(const char* key) { return absl::StrCat("\"", key, "\" is missing"); }

std::string CopyOptionalText(const RowJson& row, const char* key, std::string* text) {
  const RowJson* value = Find(row, key);
  if (value == nullptr) return "";
  if (!value->is_string()) {
    return absl::StrCat("\"", key, "\" must be text, not ", value->type_name());
  }
  *text = value->get<std::string>();
  return "";
}

// A column that says nothing; lists are also written as text.
bool IsEmpty(const RowJson& value) {
  if (value.is_string()) return value == "" || value == "[]";
  return value.empty();
}

// What would be lost without a word.
std::string CheckNoMedia(const RowJson& row) {
  for (const char* key : {"tools", "images", "image", "videos", "audios"}) {
    const RowJson* value = Find(row, key);
    if (value != nullptr && !IsEmpty(*value)) {
      return absl::StrCat("\"", key,
                          "\" is given, which cannot be trained on; remove the row, or "
                          "the column if the texts do without it");
    }
  }
  return "";
}

// ---- Prompts ----

std::string SetMessages(absl::string_view name, const RowJson& messages, v1::Prompt* prompt) {
  if (messages.empty()) return absl::StrCat(name, " has a response but no prompt before it");
  if (messages.back()["role"] == "assistant") {
    return absl::StrCat("the last of ", name,
                        " is of the role assistant, but that is what the "
                        "policy writes; remove it, or give its content as \"gold\" instead");
  }
  prompt->set_text(messages.back()["content"].get<std::string>());
  prompt->set_messages(messages.dump());
  return prompt->text().empty() ? absl::StrCat("the last of ", name, " is empty") : "";
}

std::string SetText(absl::string_view name, std::string text, v1::Prompt* prompt) {
  prompt->set_text(std::move(text));
  return prompt->text().empty() ? absl::StrCat(name, " is empty") : "";
}

// ShareGPT has the system's message in a column of its own.
std::string ReadConversations(const RowJson& row, RowJson* messages) {
  std::string system;
  std::string problem = CopyOptionalText(row, "system", &system);
  if (problem.empty()) {
    problem = ReadMessages("\"conversations\"", row["conversations"], messages);
  }
  if (problem.empty() && !system.empty()) {
    messages->insert(messages->begin(), RowJson{{"role", "system"}, {"content", system}});
  }
  return problem;
}

// Alpaca: "instruction", then "input" on a line of its own.
std::string ReadInstruction(const RowJson& row, v1::Prompt* prompt) {
  for (const char* key : {"system", "history"}) {
    const RowJson* value = Find(row, key);
    if (value != nullptr && !IsEmpty(*value)) {
      return absl::StrCat("\"", key,
                          "\" is given beside \"instruction\"; give \"messages\" "
                          "instead, or remove the column");
    }
  }
  std::string text;
  std::string input;
  std::string problem = CopyOptionalText(row, "instruction", &text);
  if (problem.empty()) problem = CopyOptionalText(row, "input", &input);
  if (!problem.empty()) return problem;
  if (!input.empty()) absl::StrAppend(&text, text.empty() ? "" : "\n", input);
  return SetText("\"instruction\"", std::move(text), prompt);
}

// The column that holds the row's prompt; null if none does.
const char* PromptColumn(const RowJson& row) {
  for (const char* key : {"prompt", "messages", "conversations", "instruction"}) {
    if (row.contains(key)) return key;
  }
  return nullptr;
}

// From a column of text or messages.
std::string ReadColumn(const RowJson& row, const char* key, v1::Prompt* prompt) {
  const absl::string_view column = key;
  if (column == "instruction") return ReadInstruction(row, prompt);
  const RowJson& value = row[key];
  const std::string name = Quoted(key);
  if (column != "messages" && column != "conversations" && !value.is_array()) {
    if (value.is_string()) return SetText(name, value.get<std::string>(), prompt);
    return absl::StrCat(name, " must be text or messages, not ", value.type_name());
  }
  RowJson messages;
  std::string problem = column == "conversations" ? ReadConversations(row, &messages)
                                                  : ReadMessages(name, value, &messages);
  return problem.empty() ? SetMessages(name, messages, prompt) : problem;
}

std::string ReadPrompt(const RowJson& row, v1::Prompt* prompt) {
  const char* column = PromptColumn(row);
  return column == nullptr ? Missing("prompt") : ReadColumn(row, column, prompt);
}

// ---- Responses ----

std::string AddGiven(absl::string_view name, const RowJson& value, double score,
                     v1::Prompt* prompt) {
  v1::GivenResponse* given = prompt->add_given();
  given->set_score(score);
  return ReadResponse(name, value, given->mutable_text());
}

std::string ReadNumber(absl::string_view name, const RowJson& value, double* number) {
  if (!value.is_number()) return absl::StrCat(name, " must be a number, not ", value.type_name());
  *number = value.get<double>();
  return std::isfinite(*number) ? "" : absl::StrCat(name, " must be finite");
}

std::string CheckCount(absl::string_view name, const RowJson& list) {
  if (!list.is_array()) return absl::StrCat(name, " must be a list, not ", list.type_name());
  if (list.empty()) return absl::StrCat(name, " is empty");
  return list.size() <= kGivenMax
             ? ""
             : absl::StrCat(name, " has ", list.size(), " responses; at most ", kGivenMax);
}

// ---- Pairs ----

struct PairColumns {
  const char* chosen;
  const char* rejected;
  const char* prompt;  // where it has a name of its own
};
constexpr PairColumns kPairColumns[] = {{"chosen", "rejected", nullptr},
                                        {"chosen_response", "rejected_response", nullptr},
                                        {"response_j", "response_k", "question"}};

struct PairScores {
  double chosen = 1;
  double rejected = 0;
};

// Only where both are there.
std::string ReadPairScores(const RowJson& row, PairScores* scores) {
  for (const auto& [chosen, rejected] :
       {std::pair("score_chosen", "score_rejected"), std::pair("chosen_score", "rejected_score")}) {
    if (!Has(row, chosen) || !Has(row, rejected)) continue;
    std::string problem = ReadNumber(Quoted(chosen), row[chosen], &scores->chosen);
    if (problem.empty()) problem = ReadNumber(Quoted(rejected), row[rejected], &scores->rejected);
    if (problem.empty() && scores->chosen < scores->rejected) {
      problem = absl::StrCat("\"", chosen, "\" is ", scores->chosen, ", below \"", rejected, "\", ",
                             scores->rejected, "; the chosen response must be the better one");
    }
    return problem;
  }
  return "";
}

size_t CommonPrefix(absl::string_view a, absl::string_view b) {
  return std::mismatch(a.begin(), a.begin() + std::min(a.size(), b.size()), b.begin()).first -
         a.begin();
}

// Texts that begin with their prompt: of transcripts all turns up to the last answer, of others
// whole words.
std::string SplitTexts(const PairColumns& columns, const RowJson& row, const PairScores& scores,
                       v1::Prompt* prompt) {
  constexpr absl::string_view kAssistant = "\n\nAssistant:";
  constexpr absl::string_view kHuman = "\n\nHuman:";
  const std::string chosen = row[columns.chosen].get<std::string>();
  const std::string rejected = row[columns.rejected].get<std::string>();
  const absl::string_view shared(chosen.data(), CommonPrefix(chosen, rejected));
  const size_t turn = shared.rfind(kAssistant);
  const bool is_transcript = turn != absl::string_view::npos;
  const size_t space = shared.find_last_of(" \t\r\n");
  if (!is_transcript && (space == absl::string_view::npos || space == 0)) {
    return absl::StrCat("\"prompt\" is missing, and ", Quoted(columns.chosen), " and ",
                        Quoted(columns.rejected),
                        " do not begin with the same words, which would "
                        "be it");
  }
  const size_t split = is_transcript ? turn + kAssistant.size() : space;
  for (const std::string& text : {chosen, rejected}) {
    if (is_transcript && absl::StrContains(absl::string_view(text).substr(split), kHuman)) {
      return absl::StrCat(
          Quoted(columns.chosen), " and ", Quoted(columns.rejected),
          " must differ in the last Assistant turn alone, but do in an earlier one");
    }
  }
  prompt->set_text(chosen.substr(0, split));
  std::string problem = AddGiven("", chosen.substr(split), scores.chosen, prompt);
  return problem.empty() ? AddGiven("", rejected.substr(split), scores.rejected, prompt) : problem;
}

// Conversations that begin with their prompt; one given besides must be the same.
std::string SplitMessages(const PairColumns& columns, const RowJson& row, const PairScores& scores,
                          v1::Prompt* prompt) {
  const std::string names[] = {Quoted(columns.chosen), Quoted(columns.rejected)};
  RowJson sides[2];
  std::string texts[2];
  for (int side = 0; side < 2; ++side) {
    const RowJson& value = row[side == 0 ? columns.chosen : columns.rejected];
    std::string problem = ReadMessages(names[side], value, &sides[side]);
    if (problem.empty()) problem = TakeResponse(names[side], &sides[side], &texts[side]);
    if (!problem.empty()) return problem;
  }
  if (sides[0] != sides[1]) {
    return absl::StrCat(names[0], " and ", names[1], " must differ in their last message alone");
  }
  std::string problem = SetMessages(names[0], sides[0], prompt);
  if (!problem.empty()) return problem;
  if (const RowJson* given = Find(row, "prompt"); given != nullptr) {
    v1::Prompt other;
    problem = ReadColumn(row, "prompt", &other);
    if (!problem.empty()) return problem;
    if (other.text() != prompt->text() ||
        (given->is_array() && other.messages() != prompt->messages())) {
      return absl::StrCat("\"prompt\" is not what ", names[0], " and ", names[1], " begin with");
    }
  }
  problem = AddGiven(names[0], texts[0], scores.chosen, prompt);
  return problem.empty() ? AddGiven(names[1], texts[1], scores.rejected, prompt) : problem;
}

std::string ReadPair(const PairColumns& columns, const RowJson& row, v1::Prompt* prompt) {
  const RowJson* chosen = Find(row, columns.chosen);
  const RowJson* rejected = Find(row, columns.rejected);
  if (chosen == nullptr || rejected == nullptr) {
    const char* const there = chosen == nullptr ? columns.rejected : columns.chosen;
    const char* const lacking = chosen == nullptr ? columns.chosen : columns.rejected;
    return absl::StrCat("has \"", there, "\" but no \"", lacking, "\"; must have both");
  }
  PairScores scores;
  std::string problem = ReadPairScores(row, &scores);
  if (!problem.empty()) return problem;
  if (chosen->is_array() && rejected->is_array() && chosen->size() + rejected->size() > 2) {
    return SplitMessages(columns, row, scores, prompt);
  }
  const char* column =
      columns.prompt != nullptr && Has(row, columns.prompt) ? columns.prompt : PromptColumn(row);
  if (column == nullptr && chosen->is_string() && rejected->is_string()) {
    return SplitTexts(columns, row, scores, prompt);
  }
  if (column == nullptr) return Missing("prompt");
  problem = ReadColumn(row, column, prompt);
  if (problem.empty()) problem = AddGiven(Quoted(columns.chosen), *chosen, scores.chosen, prompt);
  return problem.empty() ? AddGiven(Quoted(columns.rejected), *rejected, scores.rejected, prompt)
                         : problem;
}

// ---- The other shapes ----

std::string ReadOpenAi(const RowJson& row, v1::Prompt* prompt) {
  for (const char* key : {"input", "preferred_output", "non_preferred_output"}) {
    if (!Has(row, key)) return Missing(key);
  }
  const RowJson& input = row["input"];
  if (!input.is_object() || !input.contains("messages")) {
    return "\"input\" must be {\"messages\": [...]}";
  }
  std::string problem = CheckNoMedia(input);
  RowJson messages;
  constexpr char kName[] = "\"input.messages\"";
  if (problem.empty()) problem = ReadMessages(kName, input["messages"], &messages);
  if (problem.empty()) problem = SetMessages(kName, messages, prompt);
  if (problem.empty()) {
    problem = AddGiven("\"preferred_output\"", row["preferred_output"], 1, prompt);
  }
  return problem.empty()
             ? AddGiven("\"non_preferred_output\"", row["non_preferred_output"], 0, prompt)
             : problem;
}

// Scores are n - 1 for the best of n to 0.
std::string ReadRanked(const RowJson& row, v1::Prompt* prompt) {
  const RowJson& list = row["completions"];
  std::string problem = CheckCount("\"completions\"", list);
  if (problem.empty()) {
    problem = Has(row, "context") ? ReadColumn(row, "context", prompt) : ReadPrompt(row, prompt);
  }
  if (!problem.empty()) return problem;
  std::vector<double> ranks;
  for (const RowJson& one : list) {
    if (!one.is_object() || !one.contains("rank") || !one.contains("completion")) {
      return "\"completions\" must be a list of {\"rank\": number, \"completion\": text or "
             "messages}";
    }
    problem = ReadNumber("\"rank\"", one["rank"], &ranks.emplace_back());
    if (!problem.empty()) return problem;
  }
  for (size_t i = 0; i < list.size(); ++i) {
    const auto better =
        std::count_if(ranks.begin(), ranks.end(), [&](double rank) { return rank < ranks[i]; });
    const double score = static_cast<double>(list.size()) - 1 - static_cast<double>(better);
    problem = AddGiven("\"completion\"", list[i]["completion"], score, prompt);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string ReadScored(const char* texts, const char* scores, const RowJson& row,
                       v1::Prompt* prompt) {
  if (!Has(row, texts)) return Missing(texts);
  if (!Has(row, scores)) return Missing(scores);
  std::string problem = CheckCount(Quoted(texts), row[texts]);
  if (problem.empty()) problem = CheckCount(Quoted(scores), row[scores]);
  if (problem.empty() && row[texts].size() != row[scores].size()) {
    problem = absl::StrCat("\"", texts, "\" has ", row[texts].size(), " responses, but \"", scores,
                           "\" has ", row[scores].size(), " scores");
  }
  if (problem.empty()) problem = ReadPrompt(row, prompt);
  for (size_t i = 0; problem.empty() && i < row[texts].size(); ++i) {
    double score = 0;
    problem = ReadNumber(absl::StrCat("\"", scores, "\"[", i, "]"), row[scores][i], &score);
    if (problem.empty()) {
      problem = AddGiven(absl::StrCat("\"", texts, "\"[", i, "]"), row[texts][i], score, prompt);
    }
  }
  return problem;
}

const char* LabelColumn(const RowJson& row) { return Has(row, "kto_tag") ? "kto_tag" : "label"; }

// The response is a column of its own, or the last of the messages.
std::string ReadLabelled(const RowJson& row, v1::Prompt* prompt) {
  const char* label = LabelColumn(row);
  const RowJson& value = row[label];
  if (!value.is_boolean() && value != 0 && value != 1) {
    return absl::StrCat("\"", label, "\" must be true or false, not ", value.dump());
  }
  const double score = value == true || value == 1 ? 1 : 0;
  const char* const column = PromptColumn(row);
  if (column == nullptr) return Missing("prompt");
  const char* const response =
      column == absl::string_view("instruction") && Has(row, "output") ? "output" : "completion";
  if (Has(row, response)) {
    std::string problem = ReadColumn(row, column, prompt);
    return problem.empty() ? AddGiven(Quoted(response), row[response], score, prompt) : problem;
  }
  if (!row[column].is_array()) return Missing(response);
  RowJson messages;
  std::string text;
  std::string problem = column == absl::string_view("conversations")
                            ? ReadConversations(row, &messages)
                            : ReadMessages(Quoted(column), row[column], &messages);
  if (problem.empty()) problem = TakeResponse(Quoted(column), &messages, &text);
  if (problem.empty()) problem = SetMessages(Quoted(column), messages, prompt);
  return problem.empty() ? AddGiven(Quoted(column), text, score, prompt) : problem;
}

bool IsLabelled(const RowJson& row, bool has_pair) {
  if (Has(row, "kto_tag")) return true;
  if (!Has(row, "label")) return false;
  const bool messages_alone =
      !has_pair && !Has(row, "prompt") && (Has(row, "messages") || Has(row, "conversations"));
  return Has(row, "completion") || (messages_alone && row["label"].is_boolean());
}

// Of the prompt and the responses; what is not of a shape is a prompt alone.
std::string ReadShape(const RowJson& row, v1::Prompt* prompt) {
  std::vector<std::string> shapes;  // a column of each
  const PairColumns* pair = nullptr;
  for (const PairColumns& columns : kPairColumns) {
    const bool has_chosen = Has(row, columns.chosen);
    if (!has_chosen && !Has(row, columns.rejected)) continue;
    pair = &columns;
    shapes.push_back(Quoted(has_chosen ? columns.chosen : columns.rejected));
  }
  const bool all_generated = Has(row, "all_generated_responses") || Has(row, "all_rm_scores");
  if (all_generated) shapes = {"\"all_generated_responses\""};  // the pair is of them
  const bool ranked = Has(row, "completions");
  const bool open_ai = Has(row, "preferred_output") || Has(row, "non_preferred_output");
  const bool scored = Has(row, "responses") || Has(row, "rewards");
  const bool labelled = IsLabelled(row, pair != nullptr);
  if (ranked) shapes.push_back("\"completions\"");
  if (open_ai) shapes.push_back("\"preferred_output\"");
  if (scored) shapes.push_back("\"responses\"");
  if (labelled) shapes.push_back(Quoted(LabelColumn(row)));
  if (shapes.size() > 1) {
    return absl::StrCat("has responses in more than one shape: ", absl::StrJoin(shapes, " and "),
                        "; keep the columns of one");
  }
  if (all_generated) return ReadScored("all_generated_responses", "all_rm_scores", row, prompt);
  if (pair != nullptr) return ReadPair(*pair, row, prompt);
  if (open_ai) return ReadOpenAi(row, prompt);
  if (ranked) return ReadRanked(row, prompt);
  if (scored) return ReadScored("responses", "rewards", row, prompt);
  return labelled ? ReadLabelled(row, prompt) : ReadPrompt(row, prompt);
}

// Of a row whose prompt is read.
std::string ReadCorrupted(const RowJson& row, v1::Prompt* prompt) {
  std::string text;
  std::string problem = CopyOptionalText(row, "corrupted", &text);
  if (!problem.empty() || text.empty()) return problem;
  if (prompt->messages().empty()) {
    prompt->set_corrupted(std::move(text));
  } else {
    RowJson messages = RowJson::parse(prompt->messages(), nullptr, /*allow_exceptions=*/false);
    messages.back()["content"] = std::move(text);
    prompt->set_corrupted(messages.dump());
  }
  return "";
}

}  // namespace

std::string ReadRow(const RowJson& row, v1::Prompt* prompt) {
  std::string problem = CheckNoMedia(row);
  if (problem.empty()) problem = ReadShape(row, prompt);
  if (problem.empty()) problem = ReadCorrupted(row, prompt);
  if (problem.empty()) problem = CopyOptionalText(row, "answer", prompt->mutable_gold());
  if (problem.empty()) problem = CopyOptionalText(row, "gold", prompt->mutable_gold());
  if (row.contains("split") && row["split"].is_string()) prompt->set_domain(row["split"]);
  if (problem.empty()) problem = CopyOptionalText(row, "domain", prompt->mutable_domain());
  return problem;
}

}  // namespace attune
