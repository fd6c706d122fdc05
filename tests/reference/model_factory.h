// Random weights for the model variants, and their directories.
#ifndef ATTUNE_TESTS_REFERENCE_MODEL_FACTORY_H_
#define ATTUNE_TESTS_REFERENCE_MODEL_FACTORY_H_

#include <string>

#include "tests/reference/model_variants.h"
#include "tests/reference/reference_model.h"

namespace attune {

// The tensors of the variant's files, by their names in them, with values that its dtype holds; a
// function of the variant's name. Scaled so that logits are about 1 and attention is neither
// uniform nor on a single position.
ReferenceTensors MakeTensors(const ModelVariant& variant);

// Into the existing `directory`.
void WriteVariant(const ModelVariant& variant, const std::string& directory);

}  // namespace attune

#endif  // ATTUNE_TESTS_REFERENCE_MODEL_FACTORY_H_
