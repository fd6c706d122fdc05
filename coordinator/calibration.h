// The oracle on labelled pairs, again and again: is it any good, and does it still judge as it did?
// Pure.
#ifndef ATTUNE_COORDINATOR_CALIBRATION_H_
#define ATTUNE_COORDINATOR_CALIBRATION_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "attune/v1/oracle.pb.h"
#include "attune/v1/round.pb.h"
#include "attune/v1/types.pb.h"
#include "spec/dataset_file.h"

namespace attune {

inline constexpr size_t kCalibrationRowsMax = 1000;

// OK, or INVALID_ARGUMENT when the rows are too many, or some has no two responses with different
// labels.
absl::Status CheckCalibration(const Dataset& labelled);

// One item for each row of `labelled`, whose given responses are the candidates.
v1::JudgeRequest CalibrationRequest(const v1::OracleSpec& spec, const Dataset& labelled);

// What the judgments of that request say. Every pair of responses of a row with different labels
// counts; of a failed row, all pairs as failed: they are in neither rate. `start` is the
// calibration when the job started; null: this is it, and agreement is 1.
v1::Calibration Calibrate(const Dataset& labelled, absl::Span<const v1::Judgment> judgments,
                          const v1::Calibration* start);

}  // namespace attune

#endif  // ATTUNE_COORDINATOR_CALIBRATION_H_
