// The rotary position embeddings that a config.json asks for: rope_theta with rope_scaling
// (transformers 4), or rope_parameters (transformers 5).
#ifndef ATTUNE_MODEL_ROPE_CONFIG_H_
#define ATTUNE_MODEL_ROPE_CONFIG_H_

#include <string>

#include "model/config_reader.h"
#include "model/model_config.h"

namespace attune {

// Fills in config->rope from the fields of `reader` and from config's head_dim and
// max_position_embeddings. `phi3`: by the rules of that family, whose heads may turn in part.
//
// Two kinds change their frequencies with the length that a sequence reaches, which would make the
// keys of earlier positions wrong; they are used up to the length from which on they would.
// "dynamic" is plain up to max_position_embeddings. "longrope" has its short factors up to
// original_max_position_embeddings, which becomes max_position_embeddings here.
void ReadRope(ConfigReader* reader, bool phi3, ModelConfig* config);

// The kind that ReadRope goes by: "default", "llama3", ...
std::string RopeKind(ConfigReader* reader, bool phi3);

}  // namespace attune

#endif  // ATTUNE_MODEL_ROPE_CONFIG_H_
