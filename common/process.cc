#include "common/process.h"

#include <malloc.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/files.h"

namespace attune {

void KeepLargeAllocations() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
}

void DieWithParent(int signal) { ::prctl(PR_SET_PDEATHSIG, signal); }

std::string UniqueProcessId() {
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return absl::StrCat(host.data(), "-", ::getpid(), "-", absl::ToUnixMillis(WallTime()));
}

std::string Environment(const char* name, const std::string& fallback) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : fallback;
}

std::string BinaryDirectory() {
  std::array<char, PATH_MAX> path{};
  const ssize_t size = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  return size > 0 ? ParentPath(std::string(path.data(), static_cast<size_t>(size))) : ".";
}

}  // namespace attune
