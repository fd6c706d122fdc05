// The commands of attune-model: generation, tokenisation and scoring without a server. Each writes
// JSON lines (or text, where said) to `out`. INVALID_ARGUMENT and NOT_FOUND mean that the input was
// refused; an input line that is refused is named by its number.
//
// A line may have "messages", a list of {"role", "content"}, instead of "prompt" or "text": the
// model's chat template makes the text of them, with the beginning of the answer at its end and
// with the special tokens that there are.
#ifndef ATTUNE_MODEL_TOOL_H_
#define ATTUNE_MODEL_TOOL_H_

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "model/sampler.h"

namespace attune {

struct GenerateCommand {
  std::string model;         // directory
  std::string prompt;        // used when prompts_file is empty
  std::string prompts_file;  // JSON lines {"prompt": ...} or {"messages": ...}
  SamplingOptions sampling;
  std::vector<std::string> stop;  // texts that end a response, and are its end
  int64_t num_generations = 1;
  uint64_t seed = 0;
  bool json = false;  // for a single prompt; a file is always answered in JSON lines
};

// Writes {"prompt", "text", "ids", "logps", "finish_reason"} for each response, in the order of the
// prompts; `text` is the response alone, without special tokens; on all processors. For a single
// prompt without `json`, the prompt and response as text, one paragraph each, as it is drawn. The
// output depends on the command alone.
absl::Status RunGenerate(const GenerateCommand& command, std::ostream& out);

// {"text"} -> {"ids", "decoded"}, line by line; `decoded` leaves out special tokens.
absl::Status RunTokenize(const std::string& model, bool add_special_tokens, std::istream& in,
                         std::ostream& out);

// {"prompt", "completion"} or {"prompt_ids", "completion_ids"} -> {"logps", "sum"}, line by line.
// Lines of ids need no tokenizer.
absl::Status RunLogprobs(const std::string& model, std::istream& in, std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_MODEL_TOOL_H_
