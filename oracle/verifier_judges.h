// Oracles that check a response: against the dataset's answer, or against a format. 1 for right, 0
// for wrong. An item without an answer to compare with cannot be judged.
#ifndef ATTUNE_ORACLE_VERIFIER_JUDGES_H_
#define ATTUNE_ORACLE_VERIFIER_JUDGES_H_

#include <memory>

#include "oracle/judge.h"

namespace attune {

// The last number of a response is that of the gold answer, as exact decimal values: 18, 18.0, 018
// and +18 are the same, 1,234 is 1234. No number in the response: 0; none in the gold answer: an
// error.
//
// A number is decimal digits, in front perhaps a sign and "$" in either order, within perhaps
// commas between groups of three, behind perhaps a point and digits. It may begin with the point.
// So "#### 18",
// "\boxed{18}", "$18.00 a day." and "16-3-4=18" all end with 18. A sign directly behind a letter, a
// digit, ")" or another sign is none, nor is a point behind a letter, a digit or another point.
// Fractions and exponents are not read: "1/2" ends with 2.
std::shared_ptr<const Judge> MakeNumericJudge();

// A response is the gold answer, outer ASCII white space of both aside.
std::shared_ptr<const Judge> MakeExactMatchJudge();

// A response is one JSON value (RFC 8259), outer white space allowed. Needs no gold answer.
std::shared_ptr<const Judge> MakeJsonJudge();

}  // namespace attune

#endif  // ATTUNE_ORACLE_VERIFIER_JUDGES_H_
