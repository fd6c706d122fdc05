// Lines for people, with one live line below them where the output is a terminal.
#ifndef ATTUNE_CLIENT_TERMINAL_H_
#define ATTUNE_CLIENT_TERMINAL_H_

#include <cstdio>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace attune {

// Thread-safe.
class Terminal {
 public:
  explicit Terminal(std::FILE* out);
  ~Terminal();  // removes the live line

  // A line that stays; a newline is added.
  void Print(const std::string& line);
  // Takes the place of the live line; cut to the width of the terminal. Nothing if not a terminal.
  void ShowLive(const std::string& line);

  bool is_live() const { return is_live_; }

 private:
  int Columns() const;

  std::FILE* const out_;
  const bool is_live_;
  absl::Mutex mu_;
  std::string live_line_ ABSL_GUARDED_BY(mu_);
};

}  // namespace attune

#endif  // ATTUNE_CLIENT_TERMINAL_H_
