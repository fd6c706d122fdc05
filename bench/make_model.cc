// make_model: writes a Llama directory with made-up weights, for benchmarks.
#include <cstdio>
#include <map>
#include <string>

#include "CLI/CLI.hpp"
#include "bench/synthetic_model.h"
#include "common/files.h"

int main(int argc, char** argv) {
  using attune::LlamaShape;
  const std::map<std::string, LlamaShape> shapes = {
      {"15M", {"15M", 32000, 288, 768, 6, 6, true, 2048}},
      {"110M", {"110M", 32000, 768, 2048, 12, 12, true, 2048}},
      {"135M", {"135M", 49152, 576, 1536, 30, 9, true, 2048, 3}}};
  std::string shape = "15M", dtype = "bf16", out;
  CLI::App app("Writes config.json and model.safetensors of a Llama shape with made-up weights.");
  app.add_option("--shape", shape, "15M, 110M or 135M (SmolLM's)")
      ->check(CLI::IsMember({"15M", "110M", "135M"}))
      ->capture_default_str();
  app.add_option("--dtype", dtype, "of the file")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  app.add_option("DIR", out, "made if it is not there")->required();
  CLI11_PARSE(app, argc, argv);
  const auto type = dtype == "fp32" ? attune::TensorType::kF32 : attune::TensorType::kBf16;
  absl::Status status = attune::CreateDirectories(out);
  if (status.ok()) status = attune::WriteModelDirectory(out, shapes.at(shape), type);
  if (!status.ok()) std::fprintf(stderr, "make_model: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
