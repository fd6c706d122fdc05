#include "oracle/tool_json.h"

#include "absl/strings/str_format.h"

namespace attune {

void WriteLine(const ToolJson& line, std::ostream& out) {
  out << line.dump(-1, ' ', false, ToolJson::error_handler_t::replace) << "\n";
}

absl::Status CheckWritten(std::ostream& out) {
  out.flush();
  return out ? absl::OkStatus() : absl::UnavailableError("cannot write the output");
}

ToolJson RateJson(double successes, size_t trials) {
  if (trials == 0) return nullptr;
  const double of = static_cast<double>(trials);
  return RateJson(successes / of, WilsonInterval(successes, of), trials);
}

ToolJson RateJson(double rate, const Interval& interval, size_t trials) {
  return {{"rate", rate}, {"low", interval.low}, {"high", interval.high}, {"of", trials}};
}

std::string ShownRate(const ToolJson& rate) {
  return rate.is_null() ? "-" : absl::StrFormat("%.3f", rate["rate"].get<double>());
}

std::string ShownInterval(const ToolJson& rate) {
  if (rate.is_null()) return "-";
  return absl::StrFormat("%.2f-%.2f", rate["low"].get<double>(), rate["high"].get<double>());
}

}  // namespace attune
