// attune-judge: verdicts of oracles, what they are worth, and models before them, without a server.
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "common/process.h"
#include "oracle/tool_accuracy.h"
#include "oracle/tool_calibrate.h"
#include "oracle/tool_evaluate.h"
#include "oracle/tool_judge.h"

namespace attune {
namespace {

constexpr int kFailed = 1;
constexpr int kRefused = 2;

struct JudgeFlags {
  PairsCommand pairs;       // its pairs: of --evaluate
  std::string calibration;  // of --calibrate
  std::optional<double> cost_per_call;
};

void AddJudge(CLI::App* app, JudgeFlags* flags) {
  CLI::App* sub = app->add_subcommand("judge",
                                      "JSON lines {\"prompt\", \"responses\"} to {\"scores\"}, "
                                      "standard input to output; or, with a "
                                      "file of labelled pairs, how good oracles are");
  sub->add_option("--oracle", flags->pairs.oracles, "Oracle file: the oracle block of a job file")
      ->required()
      ->type_name("O.yaml");
  auto* evaluate = sub->add_option("--evaluate", flags->pairs.pairs,
                                   "Accuracy of each oracle on the pairs of a dataset");
  auto* calibrate = sub->add_option("--calibrate", flags->calibration,
                                    "Its biases, noise, agreement and cost too");
  calibrate->excludes(evaluate);
  sub->add_option("--cost-per-call", flags->cost_per_call, "Of one judgement, in any currency")
      ->needs(calibrate)
      ->check(CLI::NonNegativeNumber);
  sub->add_option("--model", flags->pairs.model,
                  "Model directory whose tokenizer counts lengths; else words are counted");
  sub->add_flag("--json", flags->pairs.json, "One JSON object; JSON lines, as always, of verdicts");
}

void AddEvaluate(CLI::App* app, EvaluateCommand* command) {
  CLI::App* sub = app->add_subcommand("evaluate", "Let models play against each other");
  sub->add_option("--model", command->models, "NAME=DIR of each model; the first is the yardstick")
      ->type_name("NAME=DIR");
  sub->add_option("--oracle", command->oracle, "Oracle file: the oracle block of a job file")
      ->required()
      ->type_name("O.yaml");
  sub->add_option("--prompts", command->prompts, "Dataset with the prompts")->required();
  sub->add_option("--num-prompts", command->num_prompts, "The first so many; 0 is all")
      ->capture_default_str();
  sub->add_option("--max-new-tokens", command->sampling.max_new_tokens, "Longest response, tokens")
      ->capture_default_str();
  sub->add_option("--temperature", command->sampling.temperature, "0 is greedy")
      ->capture_default_str();
  sub->add_option("--top-p", command->sampling.top_p, "Smallest likely set of this probability")
      ->capture_default_str();
  sub->add_option("--seed", command->seed, "Another seed, other responses")->capture_default_str();
  sub->add_flag("--perturb", command->perturb, "Also with prompts in other words: the worst case");
  sub->add_flag("--json", command->json, "One JSON object instead of text");
  sub->footer("attune evaluate --job JOB plays the rounds of a job of a running coordinator.");
}

absl::Status RunJudgeCommand(const JudgeFlags& flags) {
  if (!flags.calibration.empty()) {
    PairsCommand command = flags.pairs;
    command.pairs = flags.calibration;
    return RunCalibrate(command, flags.cost_per_call, std::cout);
  }
  if (!flags.pairs.pairs.empty()) return RunPairAccuracy(flags.pairs, std::cout);
  if (flags.pairs.oracles.size() > 1) {
    return absl::InvalidArgumentError(
        "verdicts on standard input are of one --oracle; several are "
        "compared with --evaluate or --calibrate");
  }
  return RunJudge({flags.pairs.oracles[0], flags.pairs.model}, std::cin, std::cout);
}

int Report(const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << "attune: " << status.message() << "\n";
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ? kRefused : kFailed;
}

int Main(int argc, char** argv) {
  CLI::App app("Judges responses, oracles and models without a server", "attune");
  app.require_subcommand(1);
  JudgeFlags judge;
  EvaluateCommand evaluate;
  AddJudge(&app, &judge);
  AddEvaluate(&app, &evaluate);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kRefused;
  }
  const bool plays = app.got_subcommand("evaluate");
  return Report(plays ? RunEvaluate(evaluate, std::cout) : RunJudgeCommand(judge));
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::KeepLargeAllocations();
  std::ios::sync_with_stdio(false);
  return attune::Main(argc, argv);
}
