#include "model/tokenizer/stream_decoder.h"

#include <algorithm>
#include <utility>

namespace attune {
namespace {

std::string PushAll(absl::Span<const int32_t> ids, Tokenizer::Decoding* decoding) {
  std::string text;
  for (int32_t id : ids) text += decoding->Push(id);
  return text;
}

// What is still held back of the text of `ids` when they have all been pushed.
std::string HeldBack(const Tokenizer& tokenizer, absl::Span<const int32_t> ids) {
  const auto decoding = tokenizer.StartDecoding(/*skip_special_tokens=*/true);
  PushAll(ids, decoding.get());
  return decoding->Finish();
}

}  // namespace

StreamDecoder::StreamDecoder(const Tokenizer* tokenizer, absl::Span<const int32_t> prompt_ids)
    : tokenizer_(tokenizer),
      decoding_(tokenizer->StartDecoding(/*skip_special_tokens=*/true)),
      prompt_end_(HeldBack(*tokenizer, prompt_ids)),
      is_settled_(prompt_end_.empty()) {
  PushAll(prompt_ids, decoding_.get());
}

std::string StreamDecoder::Push(int32_t id) {
  std::string text = decoding_->Push(id);
  if (is_settled_) return text;
  unsettled_ids_.push_back(id);
  return Settle(text, /*is_last=*/false);
}

std::string StreamDecoder::Finish() {
  std::string text = decoding_->Finish();
  return is_settled_ ? text : Settle(text, /*is_last=*/true);
}

std::string StreamDecoder::Settle(const std::string& text, bool is_last) {
  unsettled_text_ += text;
  const size_t known = std::min(unsettled_text_.size(), prompt_end_.size());
  const bool agrees = unsettled_text_.compare(0, known, prompt_end_, 0, known) == 0;
  if (agrees && known == prompt_end_.size()) {
    is_settled_ = true;
    return unsettled_text_.substr(known);
  }
  if (agrees && !is_last) return "";
  is_settled_ = true;
  decoding_ = tokenizer_->StartDecoding(/*skip_special_tokens=*/true);
  std::string alone = PushAll(unsettled_ids_, decoding_.get());
  if (is_last) alone += decoding_->Finish();
  return alone;
}

}  // namespace attune
