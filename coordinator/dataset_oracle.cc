#include "coordinator/dataset_oracle.h"

#include "common/check.h"

namespace attune {

std::vector<v1::Judgment> JudgeByDataset(const Dataset& dataset,
                                         absl::Span<const v1::Response> responses) {
  std::vector<v1::Judgment> judgments;
  for (const v1::Response& response : responses) {
    const uint32_t index = response.prompt_index();
    if (judgments.empty() || judgments.back().prompt_index() != index) {
      v1::Judgment& judgment = judgments.emplace_back();
      judgment.set_prompt_index(index);
      judgment.set_oracle("dataset/1");
      judgment.set_oracle_digest(dataset.digest);
    }
    const auto& given = dataset.prompts[index].given();
    v1::Judgment& judgment = judgments.back();
    ATTUNE_CHECK(response.provenance() == v1::PROVENANCE_GIVEN);
    ATTUNE_CHECK(judgment.scores_size() < given.size());
    judgment.add_scores(given[judgment.scores_size()].score());
  }
  return judgments;
}

}  // namespace attune
