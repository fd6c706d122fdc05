// Assertions about our own code, on in every build. Never for user input, which gets a Status.
#ifndef ATTUNE_COMMON_CHECK_H_
#define ATTUNE_COMMON_CHECK_H_

#include <cstdio>
#include <cstdlib>

#define ATTUNE_CHECK(condition)                                                              \
  do {                                                                                       \
    if (!(condition)) {                                                                      \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);      \
      std::abort();                                                                          \
    }                                                                                        \
  } while (false)

#endif  // ATTUNE_COMMON_CHECK_H_
