// Where we do not do what the released code does, and why. Nothing else may deviate.
#ifndef ATTUNE_TESTS_GOLDEN_KNOWN_DIFFERENCES_H_
#define ATTUNE_TESTS_GOLDEN_KNOWN_DIFFERENCES_H_

#include "tests/golden/comparison.h"
#include "tests/golden/golden_case.h"

namespace attune {

// The reason of a deviation that is expected; null if it is not.
const char* KnownReason(const GoldenCase& golden, const Deviation& deviation);

// Why a method has no mapping; null if there is no such reason.
const char* NotImplementedReason(const std::string& method);

}  // namespace attune

#endif  // ATTUNE_TESTS_GOLDEN_KNOWN_DIFFERENCES_H_
