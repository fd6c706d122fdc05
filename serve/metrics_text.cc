#include "serve/metrics_text.h"

#include "absl/strings/str_cat.h"

namespace attune {
namespace {

void AppendHead(const char* name, const char* help, const char* type, std::string* text) {
  absl::StrAppend(text, "# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
}

template <typename Number>
void AppendGauge(const char* name, const char* help, Number value, std::string* text) {
  AppendHead(name, help, "gauge", text);
  absl::StrAppend(text, name, " ", value, "\n");
}

template <typename Number>
void AppendCounter(const char* name, const char* help, Number value, std::string* text) {
  AppendHead(name, help, "counter", text);
  absl::StrAppend(text, name, " ", value, "\n");
}

void AppendHistogram(const char* name, const char* help, const DurationCounts& durations,
                     std::string* text) {
  AppendHead(name, help, "histogram", text);
  int64_t count = 0;
  for (size_t i = 0; i < durations.counts.size(); ++i) {
    count += durations.counts[i];
    const std::string bound =
        i < DurationCounts::kBounds.size() ? absl::StrCat(DurationCounts::kBounds[i]) : "+Inf";
    absl::StrAppend(text, name, "_bucket{le=\"", bound, "\"} ", count, "\n");
  }
  absl::StrAppend(text, name, "_sum ", durations.sum, "\n", name, "_count ", count, "\n");
}

}  // namespace

std::string MetricsText(const EngineThread::State& state,
                        const absl::btree_map<int, int64_t>& replies) {
  std::string text;
  AppendHead("attune_serve_replies_total", "Replies by HTTP status", "counter", &text);
  for (const auto& [status, count] : replies) {
    absl::StrAppend(&text, "attune_serve_replies_total{status=\"", status, "\"} ", count, "\n");
  }
  const EngineCounters& counters = state.counters;
  AppendGauge("attune_serve_running", "Responses being decoded", state.running, &text);
  AppendGauge("attune_serve_waiting", "Requests that wait to be admitted", state.waiting, &text);
  AppendGauge("attune_serve_cache_use_ratio", "Share of the memory for keys and values in use",
              state.cache_use, &text);
  AppendCounter("attune_serve_steps_total", "Passes of the engine", counters.steps, &text);
  AppendCounter("attune_serve_prefill_tokens_total", "Prompt tokens run through the model",
                counters.prefill_tokens, &text);
  AppendCounter("attune_serve_decode_tokens_total", "Tokens drawn", counters.decode_tokens, &text);
  AppendCounter("attune_serve_prefill_seconds_total", "Time for prompts", counters.prefill_seconds,
                &text);
  AppendCounter("attune_serve_decode_seconds_total", "Time for drawn tokens",
                counters.decode_seconds, &text);
  AppendCounter("attune_serve_preemptions_total", "Responses set back for want of memory",
                counters.preemptions, &text);
  AppendCounter("attune_serve_shared_prompt_tokens_total",
                "Prompt tokens that samples took from another's prefill",
                counters.shared_prompt_tokens, &text);
  AppendHistogram("attune_serve_first_token_seconds",
                  "From a request's arrival at the engine to the first token of it",
                  counters.first_token, &text);
  AppendHistogram("attune_serve_next_token_seconds", "From a token of a response to the next",
                  counters.next_token, &text);
  return text;
}

}  // namespace attune
