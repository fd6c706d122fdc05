// Texts and chat messages of dataset rows. Every function returns what is wrong, or "".
#ifndef ATTUNE_SPEC_DATASET_MESSAGES_H_
#define ATTUNE_SPEC_DATASET_MESSAGES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace attune {

using RowJson = nlohmann::ordered_json;  // chat templates see the order of keys

// Messages of somebody else's spelling: {"from": "human", "value": text} for {"role": "user",
// "content": text}.
bool IsShareGptMessage(const RowJson& value);

// A list of messages, which are objects with the texts "role" and "content"; other keys stay. What
// chat data has beside that becomes it: content in parts of type text is joined, and ShareGPT's
// messages are renamed. `name`, in quotes, is what the list is called in problems.
std::string ReadMessages(absl::string_view name, const RowJson& value, RowJson* messages);

// A response: a text, a message of the role assistant, or a list of one.
std::string ReadResponse(absl::string_view name, const RowJson& value, std::string* text);

// Takes the last message, which must be of the role assistant, off a list.
std::string TakeResponse(absl::string_view name, RowJson* messages, std::string* text);

}  // namespace attune

#endif  // ATTUNE_SPEC_DATASET_MESSAGES_H_
