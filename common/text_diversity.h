// How much texts repeat themselves and each other. Words are what ASCII white space separates, as
// they are written.
#ifndef ATTUNE_COMMON_TEXT_DIVERSITY_H_
#define ATTUNE_COMMON_TEXT_DIVERSITY_H_

#include <cstddef>
#include <string>

#include "absl/types/span.h"

namespace attune {

// distinct-n (Li 2016): different n-grams of words by all n-grams, over all texts; an n-gram lies
// within one text. 1: none occurs twice. 0 where there are none. n > 0.
double DistinctNgrams(absl::Span<const std::string> texts, size_t n);

// Self-BLEU (Zhu 2018): the mean over the texts of the BLEU of a text against all others, in
// [0, 1]. 1: the texts are the same. n-grams of up to 4 words (of up to the text's length, if that
// is less), clipped counts, the geometric mean of the precisions, a brevity penalty to the length
// that is next (of two, the shorter); a precision without a match counts as 1 / (2 * n-grams), so
// that one rare length does not make all of it 0. 0 with fewer than two texts that have words.
// Takes time in the square of the number of texts.
double SelfBleu(absl::Span<const std::string> texts);

}  // namespace attune

#endif  // ATTUNE_COMMON_TEXT_DIVERSITY_H_
