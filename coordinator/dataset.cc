#include "coordinator/dataset.h"

#include <utf8proc.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/check.h"
#include "common/digest.h"
#include "common/files.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;  // chat templates see the order of keys

constexpr uint64_t kChunkBytes = 4 << 20;
constexpr size_t kLineBytesMax = 1 << 20;
constexpr size_t kPromptsMax = 10'000'000;
// Of the JSON of a line: objects look their keys up one by one, and are written by recursion.
constexpr int kLineKeysMax = 4096;
constexpr int kLineDepthMax = 64;

// Keys of random draws: which of a job's draws it is.
constexpr uint64_t kHoldoutDraw = 0x686f6c646f757431;  // "holdout1"
constexpr uint64_t kShuffleDraw = 0x73687566666c6531;  // "shuffle1"

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    utf8proc_int32_t codepoint;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &codepoint);
    if (size <= 0) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

// Copies a text that may be left out (or null). What is wrong with it, or "".
std::string CopyOptionalText(const Json& line, const char* key, std::string* text) {
  const auto it = line.find(key);
  if (it == line.end() || it->is_null()) return "";
  if (!it->is_string()) return absl::StrCat("\"", key, "\" must be text, not ", it->type_name());
  *text = it->get<std::string>();
  return "";
}

// What is wrong with message `index`, or "".
std::string CheckMessage(const Json& message, size_t index) {
  const std::string name = absl::StrCat("\"messages\"[", index, "]");
  if (!message.is_object()) return absl::StrCat(name, " must be {...}, not ", message.type_name());
  for (const char* key : {"role", "content"}) {
    const auto it = message.find(key);
    if (it == message.end()) return absl::StrCat(name, " has no \"", key, "\"");
    if (!it->is_string()) {
      return absl::StrCat("\"", key, "\" of ", name, " must be text, not ", it->type_name());
    }
  }
  return "";
}

std::string CopyMessages(const Json& messages, v1::Prompt* prompt) {
  if (!messages.is_array()) {
    return absl::StrCat("\"messages\" must be a list, not ", messages.type_name());
  }
  if (messages.empty()) return "\"messages\" is empty";
  for (size_t i = 0; i < messages.size(); ++i) {
    if (std::string problem = CheckMessage(messages[i], i); !problem.empty()) return problem;
  }
  if (messages.back()["role"] == "assistant") {
    return "the last of \"messages\" is of the role assistant, but that is what the policy writes; "
           "remove it, or give its content as \"gold\" instead";
  }
  prompt->set_text(messages.back()["content"].get<std::string>());
  prompt->set_messages(messages.dump());
  return prompt->text().empty() ? "the last of \"messages\" is empty" : "";
}

std::string CopyPrompt(const Json& line, v1::Prompt* prompt) {
  const auto it = line.find("prompt");
  if (it == line.end()) {
    const auto messages = line.find("messages");
    return messages == line.end() ? "\"prompt\" is missing" : CopyMessages(*messages, prompt);
  }
  if (!it->is_string()) return absl::StrCat("\"prompt\" must be text, not ", it->type_name());
  prompt->set_text(it->get<std::string>());
  return prompt->text().empty() ? "\"prompt\" is empty" : "";
}

// Of a line whose prompt is copied.
std::string CopyCorrupted(const Json& line, v1::Prompt* prompt) {
  std::string text;
  std::string problem = CopyOptionalText(line, "corrupted", &text);
  if (!problem.empty() || text.empty()) return problem;
  if (prompt->messages().empty()) {
    prompt->set_corrupted(std::move(text));
  } else {
    Json messages = line["messages"];
    messages.back()["content"] = std::move(text);
    prompt->set_corrupted(messages.dump());
  }
  return "";
}

// What is wrong with the line, or "".
std::string ParseLine(absl::string_view text, v1::Prompt* prompt) {
  if (text.size() > kLineBytesMax) return "the line is longer than 1 MiB";
  if (!IsUtf8(text)) return "the line is not valid UTF-8";
  int keys = 0;
  bool within_limits = true;
  const auto count = [&](int depth, Json::parse_event_t event, Json&) {
    if (event == Json::parse_event_t::key) ++keys;
    within_limits = within_limits && keys <= kLineKeysMax && depth <= kLineDepthMax;
    return within_limits;
  };
  const Json line = Json::parse(text.begin(), text.end(), count, /*allow_exceptions=*/false);
  if (!within_limits) {
    return absl::StrCat("the line has more than ", kLineKeysMax, " keys or is nested more than ",
                        kLineDepthMax, " deep");
  }
  if (line.is_discarded()) return "the line is not valid JSON";
  if (!line.is_object()) return absl::StrCat("the line must be {...}, not ", line.type_name());
  std::string problem = CopyPrompt(line, prompt);
  if (problem.empty()) problem = CopyCorrupted(line, prompt);
  if (problem.empty()) problem = CopyOptionalText(line, "answer", prompt->mutable_gold());
  if (problem.empty()) problem = CopyOptionalText(line, "gold", prompt->mutable_gold());
  if (problem.empty()) problem = CopyOptionalText(line, "domain", prompt->mutable_domain());
  return problem;
}

// Takes the file line by line and remembers the first problem.
class Reader {
 public:
  explicit Reader(const std::string& path) : path_(path) {}

  void AddLine(absl::string_view text) {
    ++lines_;
    if (absl::StripAsciiWhitespace(text).empty()) return;
    v1::Prompt prompt;
    const std::string problem = ParseLine(text, &prompt);
    if (!problem.empty()) {
      if (bad_lines_++ == 0) first_problem_ = absl::StrCat("line ", lines_, ": ", problem);
      return;
    }
    if (prompts_.size() == kPromptsMax) {
      too_many_ = true;
      return;
    }
    prompt.set_index(static_cast<uint32_t>(prompts_.size()));
    prompts_.push_back(std::move(prompt));
  }

  absl::StatusOr<std::vector<v1::Prompt>> Finish() && {
    if (bad_lines_ > 0) {
      return absl::InvalidArgumentError(absl::StrCat(path_, " ", first_problem_, " (", bad_lines_,
                                                     bad_lines_ == 1 ? " bad line" : " bad lines",
                                                     " of ", lines_, ")"));
    }
    if (too_many_) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_, " has more than ", kPromptsMax, " prompts, which is the limit"));
    }
    if (prompts_.empty()) return absl::InvalidArgumentError(absl::StrCat(path_, " has no prompts"));
    return std::move(prompts_);
  }

 private:
  const std::string& path_;
  std::vector<v1::Prompt> prompts_;
  uint64_t lines_ = 0;
  uint64_t bad_lines_ = 0;
  std::string first_problem_;
  bool too_many_ = false;
};

// Hands the complete lines of `buffer` to the reader; what is left is the beginning of a line. Of
// one that is too long no more is kept than shows that it is.
void TakeLines(std::string& buffer, Reader& reader) {
  size_t begin = 0;
  for (size_t end; (end = buffer.find('\n', begin)) != std::string::npos; begin = end + 1) {
    reader.AddLine(absl::string_view(buffer).substr(begin, end - begin));
  }
  buffer.erase(0, begin);
  buffer.resize(std::min(buffer.size(), kLineBytesMax + 1));
}

// The prompts that rounds may use, in index order.
std::vector<uint32_t> TrainingPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout) {
  std::vector<uint32_t> all(dataset_size);
  std::iota(all.begin(), all.end(), 0u);
  const std::vector<uint32_t> held_out = HoldoutPrompts(dataset_size, seed, holdout);
  std::vector<uint32_t> rest;
  std::set_difference(all.begin(), all.end(), held_out.begin(), held_out.end(),
                      std::back_inserter(rest));
  return rest;
}

// The order of one pass over `prompts`. Those that the round on the seam between two passes has
// already taken from the pass before come last, so that the round does not take them twice.
std::vector<uint32_t> Shuffle(const std::vector<uint32_t>& prompts, uint64_t seed, uint64_t pass,
                              std::vector<uint32_t> taken) {
  std::vector<uint32_t> order;
  const CounterRng rng({seed, kShuffleDraw, pass});
  for (uint32_t i : Permutation(rng, static_cast<uint32_t>(prompts.size()))) {
    order.push_back(prompts[i]);
  }
  std::sort(taken.begin(), taken.end());
  std::stable_partition(order.begin(), order.end(), [&](uint32_t prompt) {
    return !std::binary_search(taken.begin(), taken.end(), prompt);
  });
  return order;
}

}  // namespace

absl::StatusOr<Dataset> LoadDataset(const std::string& path) {
  if (!FileExists(path)) return absl::NotFoundError(absl::StrCat("there is no file ", path));
  Reader reader(path);
  Sha256 sha;
  std::string buffer;
  for (uint64_t offset = 0;;) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string chunk, ReadFileRange(path, offset, kChunkBytes));
    if (chunk.empty()) break;
    sha.Update(chunk);
    buffer += chunk;
    TakeLines(buffer, reader);
    offset += chunk.size();
  }
  if (!buffer.empty()) reader.AddLine(buffer);
  Dataset dataset;
  ATTUNE_ASSIGN_OR_RETURN(dataset.prompts, std::move(reader).Finish());
  dataset.digest = sha.HexDigest();
  return dataset;
}

std::vector<uint32_t> HoldoutPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout) {
  std::vector<uint32_t> order = Permutation(CounterRng({seed, kHoldoutDraw}), dataset_size);
  order.resize(std::min(dataset_size, holdout));
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<uint32_t> RoundPrompts(uint32_t dataset_size, uint64_t seed, uint32_t holdout,
                                   uint32_t round, uint32_t count) {
  ATTUNE_CHECK(round > 0);
  const std::vector<uint32_t> prompts = TrainingPrompts(dataset_size, seed, holdout);
  const uint64_t size = prompts.size();
  const uint64_t take = std::min<uint64_t>(count, size);
  if (take == 0) return {};
  // Passes follow each other in one sequence, of which the round takes [begin, begin + take).
  const uint64_t begin = (round - 1) * take;
  const uint64_t pass = begin / size;
  // No round lies on a seam that is a multiple of `take`: the passes after it do not depend on
  // those before.
  uint64_t first = pass - pass % (take / std::gcd(take, size));
  std::vector<uint32_t> order = Shuffle(prompts, seed, first, {});
  // How many of a pass the round on the seam at its end takes.
  const auto taken_at_end = [&](uint64_t of_pass) { return (of_pass + 1) * size % take; };
  const auto next_pass = [&](uint64_t after) {
    return Shuffle(prompts, seed, after + 1,
                   std::vector<uint32_t>(order.end() - taken_at_end(after), order.end()));
  };
  for (; first < pass; ++first) order = next_pass(first);
  const uint64_t offset = begin % size;
  std::vector<uint32_t> chosen(order.begin() + offset,
                               order.begin() + std::min(offset + take, size));
  if (chosen.size() < take) {
    const std::vector<uint32_t> next = next_pass(pass);
    chosen.insert(chosen.end(), next.begin(), next.begin() + (take - chosen.size()));
  }
  return chosen;
}

}  // namespace attune
