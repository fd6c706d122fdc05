// What a benchmark reads of its process and its machine.
#ifndef ATTUNE_BENCH_MEASURE_H_
#define ATTUNE_BENCH_MEASURE_H_

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace attune {

inline double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Of this thread: on an idle machine the time that passes, and on a shared one not that of others.
inline double ProcessorSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// What stands behind `name` in a file of lines "name : value"; empty if there is none.
inline std::string ProcField(const std::string& path, absl::string_view name) {
  std::ifstream file(path);  // common/files.h reads files that have a size
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (parts.size() == 2 && absl::StripAsciiWhitespace(parts[0]) == name) {
      return std::string(absl::StripAsciiWhitespace(parts[1]));
    }
  }
  return "";
}

// Of /proc/self/status, in bytes: VmRSS is what is resident, VmHWM the most that was, RssAnon that
// part of VmRSS that is no page of a file.
inline int64_t MemoryBytes(absl::string_view name) {
  const std::vector<std::string> words = absl::StrSplit(ProcField("/proc/self/status", name), ' ');
  int64_t kilobytes = 0;
  return absl::SimpleAtoi(words[0], &kilobytes) ? kilobytes * 1024 : 0;
}

// measure() in a process of its own, so that its memory is its own.
template <typename Measure, typename Result = std::invoke_result_t<Measure>>
absl::StatusOr<Result> InChild(Measure measure) {
  static_assert(std::is_trivially_copyable_v<Result>);
  int ends[2];
  if (pipe(ends) != 0) return absl::InternalError("cannot make a pipe");
  const pid_t child = fork();
  if (child < 0) return absl::InternalError("cannot fork");
  if (child == 0) {
    const Result result = measure();
    _exit(write(ends[1], &result, sizeof(result)) == sizeof(result) ? 0 : 1);
  }
  close(ends[1]);
  Result result{};
  const bool complete = read(ends[0], &result, sizeof(result)) == sizeof(result);
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (complete && status == 0) return result;
  return absl::InternalError("the process that measures has failed");
}

}  // namespace attune

#endif  // ATTUNE_BENCH_MEASURE_H_
