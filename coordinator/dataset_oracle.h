// The oracle `dataset`: the labels that a dataset gives its own responses. Nobody is asked.
#ifndef ATTUNE_COORDINATOR_DATASET_ORACLE_H_
#define ATTUNE_COORDINATOR_DATASET_ORACLE_H_

#include <vector>

#include "absl/types/span.h"
#include "attune/v1/types.pb.h"
#include "spec/dataset_file.h"

namespace attune {

// One judgment for each prompt of `responses`, which are grouped by prompt, in their order. Every
// response is one of Prompt.given: those of a prompt are all of them, in their order. The digest is
// the dataset's.
std::vector<v1::Judgment> JudgeByDataset(const Dataset& dataset,
                                         absl::Span<const v1::Response> responses);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_DATASET_ORACLE_H_
