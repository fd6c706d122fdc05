#include "model/tool.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <numeric>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/rng.h"
#include "common/status_macros.h"
#include "common/threads.h"
#include "model/chat_template.h"
#include "model/generator.h"
#include "model/policy.h"
#include "model/scorer.h"
#include "model/tokenizer/stop_texts.h"
#include "model/tokenizer/stream_decoder.h"
#include "model/tokenizer/tokenizer.h"
#include "nlohmann/json.hpp"

namespace attune {
namespace {

using Json = nlohmann::ordered_json;

void WriteLine(const Json& line, std::ostream& out) {
  out << line.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
}

absl::Status CheckWritten(std::ostream& out) {
  out.flush();
  return out ? absl::OkStatus() : absl::UnavailableError("cannot write the output");
}

// Calls take(object) for each line that is not blank.
template <typename Take>
absl::Status ForEachLine(std::istream& in, const std::string& source, const Take& take) {
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    const absl::Status status =
        object.is_object() ? take(object) : absl::InvalidArgumentError("it is not a JSON object");
    if (!status.ok()) {
      return Annotate(status, absl::StrCat("cannot use line ", number, " of ", source));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> TextField(const Json& object, const char* name) {
  const auto it = object.find(name);
  if (it != object.end() && it->is_string()) return it->get<std::string>();
  return absl::InvalidArgumentError(absl::StrCat("it has no \"", name, "\" of type string"));
}

absl::StatusOr<std::vector<int32_t>> IdsField(const Json& object, const char* name) {
  std::vector<int32_t> ids;
  const auto it = object.find(name);
  bool valid = it != object.end() && it->is_array();
  for (size_t i = 0; valid && i < it->size(); ++i) {
    const Json& id = (*it)[i];
    valid = id.is_number_unsigned() && id <= std::numeric_limits<int32_t>::max();
    if (valid) ids.push_back(id.get<int32_t>());
  }
  if (valid) return ids;
  return absl::InvalidArgumentError(absl::StrCat("it has no \"", name, "\" that lists token ids"));
}

// A text to tokenise.
struct Text {
  std::string text;
  bool add_special_tokens;  // no: a chat template has written them
};

// Of the model; that it has none matters only where there are messages.
using Chat = absl::StatusOr<std::unique_ptr<const ChatTemplate>>;

// The field `name` or, where the line has "messages" instead, what the chat template makes of them.
absl::StatusOr<Text> TextOrMessages(const Json& object, const char* name, const Chat& chat) {
  const auto messages = object.find("messages");
  if (messages == object.end() || object.contains(name)) {
    ATTUNE_ASSIGN_OR_RETURN(std::string text, TextField(object, name));
    return Text{std::move(text), true};
  }
  ATTUNE_RETURN_IF_ERROR(chat.status());
  ATTUNE_ASSIGN_OR_RETURN(std::string text,
                          (*chat)->Render(messages->dump(), /*add_generation_prompt=*/true));
  return Text{std::move(text), false};
}

struct Model {
  std::shared_ptr<const Policy> policy;
  std::unique_ptr<const Tokenizer> tokenizer;

  std::vector<int32_t> Encode(const Text& text) const {
    return tokenizer->Encode(text.text, text.add_special_tokens);
  }
};

absl::StatusOr<Model> LoadModel(const std::string& directory) {
  Model model;
  ATTUNE_ASSIGN_OR_RETURN(model.policy, Policy::Load(directory));
  ATTUNE_ASSIGN_OR_RETURN(model.tokenizer, Tokenizer::Load(directory));
  return model;
}

absl::StatusOr<std::vector<Text>> ReadPrompts(const GenerateCommand& command) {
  std::vector<Text> prompts;
  if (command.prompts_file.empty()) {
    prompts.push_back({command.prompt, true});
    return prompts;
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string bytes, ReadFile(command.prompts_file));
  const Chat chat = ChatTemplate::Load(command.model);
  std::istringstream lines(std::move(bytes));
  ATTUNE_RETURN_IF_ERROR(
      ForEachLine(lines, command.prompts_file, [&](const Json& object) -> absl::Status {
        ATTUNE_ASSIGN_OR_RETURN(prompts.emplace_back(), TextOrMessages(object, "prompt", chat));
        return absl::OkStatus();
      }));
  return prompts;
}

bool EndsSequence(const Model& model, int32_t token) {
  const std::vector<int32_t>& eos = model.policy->config().eos_token_ids;
  return std::find(eos.begin(), eos.end(), token) != eos.end();
}

// Prompt and responses as text, while it is drawn.
absl::Status WriteText(const Model& model, const GenerationRequest& request,
                       const SamplingOptions& options, const std::vector<std::string>& stop,
                       std::ostream& out) {
  for (size_t i = 0; i < request.sample_keys.size(); ++i) {
    if (i > 0) out << "\n";
    out << model.tokenizer->Decode(request.prompt_ids, /*skip_special_tokens=*/true);
    StreamDecoder text(model.tokenizer.get(), request.prompt_ids);
    StopTexts stop_texts(model.tokenizer.get(), request.prompt_ids, stop);
    const auto write = [&](int32_t token) {
      if (EndsSequence(model, token)) return true;
      out << text.Push(token);
      out.flush();
      return stop_texts.Push(token);
    };
    ATTUNE_RETURN_IF_ERROR(
        GenerateOne(*model.policy, request.prompt_ids, request.sample_keys[i], options, write)
            .status());
    out << text.Finish() << "\n";
  }
  return CheckWritten(out);
}

// Cuts the response after the token that completes a stop text. A token depends on those before it
// alone: it is the response that would have ended there.
void EndAtStopText(const Model& model, const std::vector<int32_t>& prompt_ids,
                   const std::vector<std::string>& stop, Generation* generation) {
  StopTexts stop_texts(model.tokenizer.get(), prompt_ids, stop);
  for (size_t i = 0; i < generation->token_ids.size(); ++i) {
    if (EndsSequence(model, generation->token_ids[i])) return;
    if (!stop_texts.Push(generation->token_ids[i])) continue;
    generation->token_ids.resize(i + 1);
    generation->logps.resize(i + 1);
    generation->sampling_logps.resize(i + 1);
    generation->stop_reason = StopReason::kStop;
    return;
  }
}

void WriteJson(const Model& model, const std::string& prompt,
               const std::vector<int32_t>& prompt_ids, const std::vector<Generation>& generations,
               std::ostream& out) {
  for (const Generation& generation : generations) {
    const bool stopped = generation.stop_reason != StopReason::kLength;
    WriteLine({{"prompt", prompt},
               {"text", DecodeCompletion(*model.tokenizer, prompt_ids, generation.token_ids,
                                         model.policy->config().eos_token_ids)},
               {"ids", generation.token_ids},
               {"logps", generation.logps},
               {"finish_reason", stopped ? "stop" : "length"}},
              out);
  }
}

// `tokenizer` may be an error: lines of token ids do without.
absl::StatusOr<std::vector<float>> LogprobsOfLine(
    const Policy& policy, const absl::StatusOr<std::unique_ptr<const Tokenizer>>& tokenizer,
    const Chat& chat, const Json& line) {
  if (line.contains("prompt_ids") || line.contains("completion_ids")) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<int32_t> prompt, IdsField(line, "prompt_ids"));
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<int32_t> completion,
                            IdsField(line, "completion_ids"));
    return CompletionLogProbs(policy, prompt, completion);
  }
  ATTUNE_RETURN_IF_ERROR(tokenizer.status());
  ATTUNE_ASSIGN_OR_RETURN(const Text prompt, TextOrMessages(line, "prompt", chat));
  ATTUNE_ASSIGN_OR_RETURN(const std::string completion, TextField(line, "completion"));
  const std::vector<int32_t> prompt_ids =
      (*tokenizer)->Encode(prompt.text, prompt.add_special_tokens);
  return CompletionLogProbs(policy, prompt_ids,
                            EncodeCompletion(**tokenizer, prompt.text, prompt_ids, completion));
}

}  // namespace

absl::Status RunGenerate(const GenerateCommand& command, std::ostream& out) {
  ATTUNE_RETURN_IF_ERROR(CheckSamplingOptions(command.sampling));
  if (std::find(command.stop.begin(), command.stop.end(), "") != command.stop.end()) {
    return absl::InvalidArgumentError("a stop text is empty; it must have at least one character");
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Text> prompts, ReadPrompts(command));
  ATTUNE_ASSIGN_OR_RETURN(const Model model, LoadModel(command.model));
  std::vector<GenerationRequest> requests(prompts.size());
  for (uint64_t i = 0; i < prompts.size(); ++i) {
    requests[i].prompt_ids = model.Encode(prompts[i]);
    const absl::Status status = CheckPrompt(*model.policy, requests[i].prompt_ids);
    if (!status.ok()) return Annotate(status, absl::StrCat("cannot answer prompt ", i + 1));
    for (uint64_t sample = 0; sample < static_cast<uint64_t>(command.num_generations); ++sample) {
      requests[i].sample_keys.push_back(CounterRng({command.seed, i, sample}).key());
    }
  }
  if (command.prompts_file.empty() && !command.json) {
    return WriteText(model, requests[0], command.sampling, command.stop, out);
  }
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::vector<Generation>> responses,
                          Generate(*model.policy, requests, command.sampling, ProcessorCount()));
  for (size_t i = 0; i < prompts.size(); ++i) {
    for (Generation& response : responses[i]) {
      EndAtStopText(model, requests[i].prompt_ids, command.stop, &response);
    }
    WriteJson(model, prompts[i].text, requests[i].prompt_ids, responses[i], out);
  }
  return CheckWritten(out);
}

absl::Status RunTokenize(const std::string& model, bool add_special_tokens, std::istream& in,
                         std::ostream& out) {
  ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<const Tokenizer> tokenizer, Tokenizer::Load(model));
  const Chat chat = ChatTemplate::Load(model);
  return ForEachLine(in, "the input", [&](const Json& line) -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(const Text text, TextOrMessages(line, "text", chat));
    const std::vector<int32_t> ids =
        tokenizer->Encode(text.text, add_special_tokens && text.add_special_tokens);
    WriteLine({{"ids", ids}, {"decoded", tokenizer->Decode(ids, /*skip_special_tokens=*/true)}},
              out);
    return CheckWritten(out);
  });
}

absl::Status RunLogprobs(const std::string& directory, std::istream& in, std::ostream& out) {
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const Policy> policy, Policy::Load(directory));
  const auto tokenizer = Tokenizer::Load(directory);
  const Chat chat = ChatTemplate::Load(directory);
  return ForEachLine(in, "the input", [&](const Json& line) -> absl::Status {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<float> logps,
                            LogprobsOfLine(*policy, tokenizer, chat, line));
    WriteLine({{"logps", logps}, {"sum", std::accumulate(logps.begin(), logps.end(), 0.0)}}, out);
    return CheckWritten(out);
  });
}

}  // namespace attune
