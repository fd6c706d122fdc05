// Every method that golden_check knows.
#ifndef ATTUNE_TESTS_GOLDEN_MAPPINGS_H_
#define ATTUNE_TESTS_GOLDEN_MAPPINGS_H_

#include <string>

#include "tests/golden/golden_case.h"

namespace attune {

// Null for a method that it does not know.
Mapping FindMapping(const std::string& method);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_MAPPINGS_H_
