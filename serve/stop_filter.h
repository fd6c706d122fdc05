// Takes the stop texts out of a text that comes in pieces.
#ifndef ATTUNE_SERVE_STOP_FILTER_H_
#define ATTUNE_SERVE_STOP_FILTER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace attune {

// What Push and Finish return, joined, is the text before the first stop text to be complete, or
// all of it: nothing that a stop text would take back is given away. Not thread-safe.
class StopFilter {
 public:
  // `stops`: none is empty.
  explicit StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // The text that is certain. A piece is whole characters, and nothing once stopped.
  std::string Push(absl::string_view piece);
  // What was held back; call it once, at the end.
  std::string Finish();

  bool stopped() const { return stopped_; }

 private:
  const std::vector<std::string> stops_;
  std::string held_;  // the beginning of a stop text, perhaps
  bool stopped_ = false;
};

}  // namespace attune

#endif  // ATTUNE_SERVE_STOP_FILTER_H_
