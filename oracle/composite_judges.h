// Oracles made of oracles. Parts that give probabilities count with their scores. A part that
// fails, or whose verdict is unusable (CheckAnswer), fails the whole verdict. The digest is empty
// where that of a part is: what is not known to stay the same is not remembered.
#ifndef ATTUNE_ORACLE_COMPOSITE_JUDGES_H_
#define ATTUNE_ORACLE_COMPOSITE_JUDGES_H_

#include <memory>
#include <vector>

#include "oracle/judge.h"

namespace attune {

struct JudgePart {
  std::shared_ptr<const Judge> judge;
  double weight = 1;
};

// Sum of weight * score.
std::shared_ptr<const Judge> MakeSumJudge(std::vector<JudgePart> parts);

// Product of the scores; the weights do not count.
std::shared_ptr<const Judge> MakeProductJudge(std::vector<JudgePart> parts);

// Bradley and Terry 1952: i is preferred to j with probability sigmoid((s_i - s_j) / scale) of the
// scores of `part`; `scale` > 0.
std::shared_ptr<const Judge> MakeBradleyTerryJudge(JudgePart part, double scale);

}  // namespace attune

#endif  // ATTUNE_ORACLE_COMPOSITE_JUDGES_H_
