#include "serve/stop_filter.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace attune {
namespace {

// Length of the longest end of `text` with which `stop` begins.
size_t BegunLength(absl::string_view text, absl::string_view stop) {
  size_t length = std::min(text.size(), stop.size() - 1);
  while (!absl::EndsWith(text, stop.substr(0, length))) --length;
  return length;
}

}  // namespace

std::string StopFilter::Push(absl::string_view piece) {
  if (stopped_) return "";
  held_.append(piece.data(), piece.size());
  size_t end = std::string::npos;
  size_t begun = 0;
  for (const std::string& stop : stops_) {
    end = std::min(end, held_.find(stop));
    begun = std::max(begun, BegunLength(held_, stop));
  }
  stopped_ = end != std::string::npos;
  if (!stopped_) end = held_.size() - begun;
  std::string certain = held_.substr(0, end);
  held_.erase(0, stopped_ ? held_.size() : end);
  return certain;
}

std::string StopFilter::Finish() { return std::exchange(held_, ""); }

}  // namespace attune
