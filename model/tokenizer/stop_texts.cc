#include "model/tokenizer/stop_texts.h"

#include <algorithm>
#include <utility>

#include "common/check.h"

namespace attune {

StopTexts::StopTexts(const Tokenizer* tokenizer, absl::Span<const int32_t> prompt_ids,
                     std::vector<std::string> texts)
    : texts_(std::move(texts)), decoder_(tokenizer, prompt_ids) {
  for (const std::string& stop : texts_) {
    ATTUNE_CHECK(!stop.empty());
    longest_ = std::max(longest_, stop.size());
  }
}

bool StopTexts::Push(int32_t id) { return Add(decoder_.Push(id)); }

bool StopTexts::Finish() {
  ended_ = true;
  return Add(decoder_.Finish());
}

bool StopTexts::Add(const std::string& text) {
  ATTUNE_CHECK(begin_ < 0);
  // A stop text that ends within `text` begins less than this far before it.
  const size_t from = text_.size() - std::min(text_.size(), longest_);
  text_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : texts_) first = std::min(first, text_.find(stop, from));
  if (first == std::string::npos) return false;
  begin_ = static_cast<int64_t>(taken_ + first);
  return true;
}

size_t StopTexts::HeldBack() const {
  for (size_t length = std::min(text_.size(), longest_); length > 0; --length) {
    for (const std::string& stop : texts_) {
      if (stop.size() > length &&
          text_.compare(text_.size() - length, length, stop, 0, length) == 0) {
        return length;
      }
    }
  }
  return 0;
}

std::string StopTexts::TakeText() {
  size_t end = text_.size();
  if (begin_ >= 0) {
    end = static_cast<size_t>(begin_) - taken_;
  } else if (!ended_) {
    end -= HeldBack();
  }
  std::string text = text_.substr(0, end);
  text_.erase(0, end);
  taken_ += end;
  return text;
}

}  // namespace attune
