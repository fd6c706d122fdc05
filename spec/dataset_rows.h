// One row of a dataset, in any of the shapes that preference data comes in, -> a prompt. Pure.
#ifndef ATTUNE_SPEC_DATASET_ROWS_H_
#define ATTUNE_SPEC_DATASET_ROWS_H_

#include <string>

#include "attune/v1/types.pb.h"
#include "spec/dataset_messages.h"

namespace attune {

// Shapes are told apart by their columns; docs/data_format.md has an example of each. Columns of
// text make a prompt that is a text, lists of messages one for the chat template. Prompt.given are
// the row's responses with scores, higher is better, in the order of the row; none for a row of a
// prompt alone. Prompt.domain is the text "domain" or, without one, "split". Columns that belong to
// no shape are ignored.
//
// Returns what is wrong with the row and what was expected, or "". `prompt` gets no index.
std::string ReadRow(const RowJson& row, v1::Prompt* prompt);

}  // namespace attune

#endif  // ATTUNE_SPEC_DATASET_ROWS_H_
