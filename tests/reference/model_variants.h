// Tiny models of every architecture the engine reads, by their config.json. Each variant turns on
// what another one leaves off, and sizes differ from each other, so that a swapped one shows.
#ifndef ATTUNE_TESTS_REFERENCE_MODEL_VARIANTS_H_
#define ATTUNE_TESTS_REFERENCE_MODEL_VARIANTS_H_

#include <ostream>
#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace attune {

struct ModelVariant {
  std::string name;           // "qwen2_window": letters, digits and '_', as GoogleTest wants
  nlohmann::json config;      // config.json
  std::string dtype = "F32";  // of every tensor, as safetensors calls it
  int shards = 1;
  bool head_only = false;   // tied, and the one copy is stored as lm_head.weight
  bool bare_names = false;  // names lack the base model's prefix
  bool buffers = false;     // with the tensors that old releases stored and nothing reads
};

// For GoogleTest's messages.
inline void PrintTo(const ModelVariant& variant, std::ostream* out) { *out << variant.name; }

// Language models, family by family.
std::vector<ModelVariant> AllVariants();
// Valid models with an option that the engine does not compute, and the key that says so.
struct UnsupportedVariant {
  ModelVariant variant;
  std::string key;
};
std::vector<UnsupportedVariant> UnsupportedVariants();
// *ForSequenceClassification: score.weight in place of the language head.
std::vector<ModelVariant> ClassifierVariants();

// Every variant has at least so many positions; windows and trained lengths are shorter.
inline constexpr int kVariantPositions = 40;
inline constexpr int kVariantVocabulary = 97;

}  // namespace attune

#endif  // ATTUNE_TESTS_REFERENCE_MODEL_VARIANTS_H_
