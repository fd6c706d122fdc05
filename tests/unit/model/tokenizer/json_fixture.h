// A component of tokenizer.json from its text.
#ifndef ATTUNE_TESTS_UNIT_MODEL_TOKENIZER_JSON_FIXTURE_H_
#define ATTUNE_TESTS_UNIT_MODEL_TOKENIZER_JSON_FIXTURE_H_

#include <string>

#include "common/check.h"
#include "model/tokenizer/tokenizer_json.h"
#include "nlohmann/json.hpp"

namespace attune {

class JsonFixture {
 public:
  explicit JsonFixture(const std::string& text)
      : document_(nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false)) {
    ATTUNE_CHECK(!document_.is_discarded());
  }

  TokenizerJson json() const { return {&document_, "component"}; }

 private:
  nlohmann::json document_;
};

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_MODEL_TOKENIZER_JSON_FIXTURE_H_
