// attune-model: generate, tokenize, logprobs and inspect on a model directory, without a server.
#include <iostream>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "common/process.h"
#include "model/inspect.h"
#include "model/tool.h"

namespace {

constexpr int kFailed = 1;
constexpr int kRefused = 2;

void AddGenerate(CLI::App* app, attune::GenerateCommand* command) {
  CLI::App* sub = app->add_subcommand("generate", "Sample responses to prompts");
  sub->add_option("--model", command->model, "Hugging Face model directory")->required();
  auto* input = sub->add_option_group("input");
  input->add_option("--prompt", command->prompt, "The text to continue");
  input->add_option("--prompts", command->prompts_file,
                    "File of JSON lines {\"prompt\": ...} or {\"messages\": ...}");
  input->require_option(1);
  attune::SamplingOptions* sampling = &command->sampling;
  sub->add_option("--max-new-tokens", sampling->max_new_tokens, "Longest response, tokens")
      ->capture_default_str();
  sub->add_option("--temperature", sampling->temperature, "0 is greedy")->capture_default_str();
  sub->add_option("--top-p", sampling->top_p, "Smallest likely set of this probability")
      ->capture_default_str();
  sub->add_option("--top-k", sampling->top_k, "This many likeliest tokens; 0 is all")
      ->capture_default_str();
  sub->add_option("--min-p", sampling->min_p, "Tokens this much as likely as the likeliest one")
      ->capture_default_str();
  sub->add_option("--repetition-penalty", sampling->repetition_penalty,
                  "Above 1, tokens that have occurred get less likely")
      ->capture_default_str();
  sub->add_option("--min-new-tokens", sampling->min_new_tokens, "Shortest response, tokens")
      ->capture_default_str();
  sub->add_option("--stop", command->stop, "Text that ends a response; may be repeated")
      ->allow_extra_args(false);
  sub->add_option("--num-generations", command->num_generations, "Responses to each prompt")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  sub->add_option("--seed", command->seed, "Another seed, other responses")->capture_default_str();
  sub->add_flag("--json", command->json, "JSON lines instead of text");
}

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "attune-model: " << status.message() << "\n";
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? kRefused : kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  attune::KeepLargeAllocations();
  std::ios::sync_with_stdio(false);
  CLI::App app("Generates, tokenises and scores text with a model directory", "attune-model");
  app.require_subcommand(1);
  attune::GenerateCommand generate;
  AddGenerate(&app, &generate);

  std::string model;
  bool no_special_tokens = false;
  bool json = true;  // accepted everywhere; these two write nothing else
  CLI::App* tokenize = app.add_subcommand(
      "tokenize", "JSON lines {\"text\"} to {\"ids\", \"decoded\"}, standard input to output");
  tokenize->add_option("--model", model, "Hugging Face model directory")->required();
  tokenize->add_flag("--no-special-tokens", no_special_tokens, "Add no <s> and the like");
  tokenize->add_flag("--json", json, "JSON lines, as always");
  CLI::App* logprobs =
      app.add_subcommand("logprobs",
                         "JSON lines {\"prompt\", \"completion\"} or {\"prompt_ids\", "
                         "\"completion_ids\"} to {\"logps\", \"sum\"}, standard input to output");
  logprobs->add_option("--model", model, "Hugging Face model directory")->required();
  logprobs->add_flag("--json", json, "JSON lines, as always");
  bool inspect_json = false;
  CLI::App* inspect = app.add_subcommand(
      "inspect", "What a model is, the memory it needs, and what keeps it from being used");
  inspect->add_option("--model", model, "Hugging Face model directory")->required();
  inspect->add_flag("--json", inspect_json, "One JSON object instead of text");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kRefused;
  }
  if (*tokenize) return Report(attune::RunTokenize(model, !no_special_tokens, std::cin, std::cout));
  if (*logprobs) return Report(attune::RunLogprobs(model, std::cin, std::cout));
  if (*inspect) return Report(attune::RunInspect(model, inspect_json, std::cout));
  return Report(attune::RunGenerate(generate, std::cout));
}
