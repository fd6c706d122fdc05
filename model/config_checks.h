// What a config.json must not say: fields of relatives of the supported models that would change
// the numbers if they were ignored.
#ifndef ATTUNE_MODEL_CONFIG_CHECKS_H_
#define ATTUNE_MODEL_CONFIG_CHECKS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "model/config_reader.h"

namespace attune {

// Notes every field whose value asks for something that no supported model has, or only others: all
// but those named in `known`, which the caller reads itself.
void CheckUnsupportedFields(ConfigReader* reader, absl::Span<const char* const> known);

// Notes class names in `architectures` and `auto_map` that are not of `family`, for example
// "Llama": LlamaForCausalLM, LlamaLMHeadModel and LlamaForSequenceClassification are, in any case
// of letters. Code that comes with a model is never run; auto_map may name the family's own
// classes, as Phi-3's does, because transformers then has them itself.
void CheckClasses(ConfigReader* reader, absl::string_view family);

// Whether `architectures` names a *ForSequenceClassification.
bool IsSequenceClassifier(const ConfigReader& reader);

}  // namespace attune

#endif  // ATTUNE_MODEL_CONFIG_CHECKS_H_
