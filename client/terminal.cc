#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

namespace attune {
namespace {

constexpr char kEraseLine[] = "\r\x1b[K";
constexpr int kDefaultColumns = 100;

}  // namespace

Terminal::Terminal(std::FILE* out) : out_(out), is_live_(::isatty(::fileno(out)) == 1) {}

Terminal::~Terminal() { ShowLive(""); }

void Terminal::Print(const std::string& line) {
  absl::MutexLock lock(&mu_);
  if (!live_line_.empty()) std::fputs(kEraseLine, out_);
  std::fprintf(out_, "%s\n%s", line.c_str(), live_line_.c_str());
  std::fflush(out_);
}

void Terminal::ShowLive(const std::string& line) {
  if (!is_live_) return;
  absl::MutexLock lock(&mu_);
  live_line_ = line.substr(0, static_cast<size_t>(Columns() - 1));
  std::fprintf(out_, "%s%s", kEraseLine, live_line_.c_str());
  std::fflush(out_);
}

int Terminal::Columns() const {
  winsize size{};
  if (::ioctl(::fileno(out_), TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return kDefaultColumns;
  return size.ws_col;
}

}  // namespace attune
