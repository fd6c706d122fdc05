// What can be known of a Hugging Face directory without loading the model: `attune inspect`.
#ifndef ATTUNE_MODEL_INSPECT_H_
#define ATTUNE_MODEL_INSPECT_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"

namespace attune {

// Architecture, parameters, files, memory and tokenizer of `directory`. "problems" lists everything
// that keeps the model from being used; what they leave unknown is null. "notes" lists what does
// not.
nlohmann::ordered_json InspectModel(const std::string& directory);

// Writes it to `out`: as one JSON object in a line, or as text. INVALID_ARGUMENT when the model
// cannot be used.
absl::Status RunInspect(const std::string& directory, bool json, std::ostream& out);

}  // namespace attune

#endif  // ATTUNE_MODEL_INSPECT_H_
