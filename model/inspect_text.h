// The report of model/inspect.h for people.
#ifndef ATTUNE_MODEL_INSPECT_TEXT_H_
#define ATTUNE_MODEL_INSPECT_TEXT_H_

#include <string>

#include "nlohmann/json.hpp"

namespace attune {

// Of what InspectModel returns.
std::string InspectionText(const nlohmann::ordered_json& report);

}  // namespace attune

#endif  // ATTUNE_MODEL_INSPECT_TEXT_H_
