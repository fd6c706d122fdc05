// What oracles are asked in tests.
#ifndef ATTUNE_TESTS_UNIT_ORACLE_CANDIDATES_H_
#define ATTUNE_TESTS_UNIT_ORACLE_CANDIDATES_H_

#include <initializer_list>
#include <string>

#include "attune/v1/oracle.pb.h"

namespace attune {

// Responses to a prompt, each as many tokens long as it has bytes.
inline v1::Candidates CandidatesOf(std::initializer_list<std::string> responses,
                                   const std::string& gold = "",
                                   const std::string& prompt = "a prompt") {
  v1::Candidates item;
  item.set_prompt(prompt);
  item.set_gold(gold);
  for (const std::string& response : responses) {
    item.add_responses(response);
    item.add_response_tokens(static_cast<uint32_t>(response.size()));
  }
  return item;
}

}  // namespace attune

#endif  // ATTUNE_TESTS_UNIT_ORACLE_CANDIDATES_H_
