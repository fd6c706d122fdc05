#include "spec/oracle_spec.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace attune {
namespace {

using Kinds = std::initializer_list<v1::OracleKind>;

constexpr int kPartsMax = 16;
constexpr int kRatingsMax = 20;

bool IsOneOf(v1::OracleKind kind, Kinds kinds) {
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

constexpr Kinds kWithPath = {v1::ORACLE_KIND_LEXICON,      v1::ORACLE_KIND_TABLE,
                             v1::ORACLE_KIND_REWARD_MODEL, v1::ORACLE_KIND_IMPLICIT_REWARD,
                             v1::ORACLE_KIND_R3,           v1::ORACLE_KIND_LLM_JUDGE};
constexpr Kinds kWithParts = {v1::ORACLE_KIND_SUM, v1::ORACLE_KIND_PRODUCT,
                              v1::ORACLE_KIND_BRADLEY_TERRY};
constexpr Kinds kWithEndpoint = {v1::ORACLE_KIND_REMOTE, v1::ORACLE_KIND_HTTP,
                                 v1::ORACLE_KIND_LLM_JUDGE};
constexpr Kinds kWithAnswer = {v1::ORACLE_KIND_NUMERIC, v1::ORACLE_KIND_EXACT_MATCH,
                               v1::ORACLE_KIND_R3};

std::string Join(Kinds kinds) {
  std::vector<std::string> names;
  for (v1::OracleKind kind : kinds) names.push_back(EnumName(kind));
  return absl::StrJoin(names, ", ");
}

// Checks of one oracle without its parts.
class OracleChecks {
 public:
  OracleChecks(const std::string& prefix, const v1::OracleSpec& oracle, Violations* violations)
      : oracle_(oracle), block_(prefix, violations) {}

  void Run() {
    CheckEnum("kind", oracle_.kind(), &block_);
    Own("path", !oracle_.path().empty(), kWithPath);
    Own("pattern", !oracle_.pattern().empty(), {v1::ORACLE_KIND_REGEX});
    Own("target_length", oracle_.has_target_length(), {v1::ORACLE_KIND_LENGTH});
    Own("parts", oracle_.parts_size() > 0, kWithParts);
    Own("scale", oracle_.has_scale(), {v1::ORACLE_KIND_BRADLEY_TERRY});
    Own("endpoint", !oracle_.endpoint().empty(), kWithEndpoint);
    Own("llm_judge", oracle_.has_llm_judge(), {v1::ORACLE_KIND_LLM_JUDGE});
    Own("reference_path", !oracle_.reference_path().empty(), {v1::ORACLE_KIND_IMPLICIT_REWARD});
    Own("beta", oracle_.has_beta(), {v1::ORACLE_KIND_IMPLICIT_REWARD});
    Own("calls", oracle_.has_calls(), kWithEndpoint);
    block_.Range("target_length", oracle_.target_length(), {0, 32768});
    block_.Range("flip_rate", oracle_.flip_rate(), {0, 1});
    block_.Range("max_quarantined", oracle_.max_quarantined(), {0, 1});
    Required();
    Numbers();
    if (oracle_.kind() == v1::ORACLE_KIND_LLM_JUDGE) LlmJudge();
    if (oracle_.has_calls()) Calls();
  }

 private:
  // A field of some kinds, refused with the others.
  void Own(const char* field, bool given, Kinds kinds) {
    if (!given || oracle_.kind() == 0 || IsOneOf(oracle_.kind(), kinds)) return;
    block_.Add(field, absl::StrCat("is given, but only kind ", Join(kinds), " has it"));
  }

  void Need(const char* field, bool given, Kinds kinds, const char* what) {
    if (given || !IsOneOf(oracle_.kind(), kinds)) return;
    block_.Add(field, absl::StrCat("is required for kind ", EnumName(oracle_.kind()), ": ", what));
  }

  void Required() {
    const bool path = !oracle_.path().empty(), endpoint = !oracle_.endpoint().empty();
    Need("path", path, {v1::ORACLE_KIND_LEXICON}, "a file of words and valences");
    Need("path", path, {v1::ORACLE_KIND_TABLE}, "a JSON file of classes and preferences");
    Need("path", path,
         {v1::ORACLE_KIND_REWARD_MODEL, v1::ORACLE_KIND_IMPLICIT_REWARD, v1::ORACLE_KIND_R3},
         "the directory of a Hugging Face model");
    Need("reference_path", !oracle_.reference_path().empty(), {v1::ORACLE_KIND_IMPLICIT_REWARD},
         "the directory of a Hugging Face model");
    Need("pattern", !oracle_.pattern().empty(), {v1::ORACLE_KIND_REGEX}, "a PCRE2 pattern");
    Need("endpoint", endpoint, {v1::ORACLE_KIND_REMOTE}, "host:port of an OracleService");
    Need("endpoint", endpoint, {v1::ORACLE_KIND_HTTP},
         "the address of a reward server's method, http://...");
    Need("path", path || endpoint, {v1::ORACLE_KIND_LLM_JUDGE},
         "the directory of a Hugging Face model; or give endpoint");
    if (oracle_.kind() == v1::ORACLE_KIND_LLM_JUDGE && path && endpoint) {
      block_.Add("endpoint", "is given, and path too; the judge is at one of them");
    }
    const bool http = absl::StartsWith(oracle_.endpoint(), "http://") ||
                      absl::StartsWith(oracle_.endpoint(), "https://");
    if (endpoint && !http &&
        IsOneOf(oracle_.kind(), {v1::ORACLE_KIND_HTTP, v1::ORACLE_KIND_LLM_JUDGE})) {
      block_.Add("endpoint", absl::StrCat("is '", oracle_.endpoint(),
                                          "'; must begin with http:// or https://"));
    }
    if (http && oracle_.kind() == v1::ORACLE_KIND_REMOTE) {
      block_.Add("endpoint", absl::StrCat("is '", oracle_.endpoint(),
                                          "'; must be host:port of a gRPC server"));
    }
  }

  void Numbers() {
    if (oracle_.has_scale()) block_.Range("scale", oracle_.scale(), {0, 1e6, End::kExcluded});
    if (oracle_.has_beta()) block_.Range("beta", oracle_.beta(), {0, 1000, End::kExcluded});
    const int parts = oracle_.parts_size();
    if (oracle_.kind() == v1::ORACLE_KIND_BRADLEY_TERRY && parts != 1) {
      block_.Add("parts", absl::StrCat("has ", parts, " oracles; kind bradley_terry has one"));
    } else if (IsOneOf(oracle_.kind(), kWithParts) && (parts < 1 || parts > kPartsMax)) {
      block_.Add("parts",
                 absl::StrCat("has ", parts, " oracles; must have 1 to ", kPartsMax));
    }
  }

  void LlmJudge() {
    const v1::LlmJudgeSpec& llm = oracle_.llm_judge();
    CheckEnum("llm_judge.mode", llm.mode(), &block_);
    const bool endpoint = !oracle_.endpoint().empty();
    if (endpoint && llm.model().empty()) {
      block_.Add("llm_judge.model", "is required with endpoint: the name of the model behind it");
    }
    if (!endpoint && (!llm.model().empty() || !llm.api_key_variable().empty())) {
      block_.Add("llm_judge", "has model or api_key_variable, which belong to endpoint");
    }
    const bool rating = llm.mode() == v1::LLM_JUDGE_MODE_RATING;
    if (!rating && llm.ratings_size() > 0) {
      block_.Add("llm_judge.ratings", "is given, but only mode rating has it");
    }
    if (rating && (llm.ratings_size() < 2 || llm.ratings_size() > kRatingsMax)) {
      block_.Add("llm_judge.ratings", absl::StrCat("has ", llm.ratings_size(),
                                                   " words; must have 2 to ", kRatingsMax));
    }
    std::vector<std::string> wanted = {"{prompt}", "{response_a}", "{response_b}"};
    if (rating) wanted = {"{prompt}", "{response}"};
    for (const std::string& place : wanted) {
      const std::string& text = llm.prompt_template();
      if (text.empty() || absl::StrContains(text, place)) continue;
      block_.Add("llm_judge.prompt_template", absl::StrCat("has no ", place));
    }
  }

  void Calls() {
    const v1::CallSpec& calls = oracle_.calls();
    block_.Range("calls.timeout_seconds", calls.timeout_seconds(), {0.01, 3600});
    block_.Range("calls.max_attempts", calls.max_attempts(), {1, 20});
    block_.Range("calls.max_concurrency", calls.max_concurrency(), {1, 1024});
    block_.Range("calls.breaker_failures", calls.breaker_failures(), {1, 1000});
    block_.Range("calls.breaker_seconds", calls.breaker_seconds(), {0.01, 3600});
    block_.Range("calls.cache_entries", calls.cache_entries(), {0, 1e7});
  }

  const v1::OracleSpec& oracle_;
  Block block_;
};

void FillCallDefaults(v1::CallSpec* calls) {
  if (!calls->has_timeout_seconds()) calls->set_timeout_seconds(60);
  if (!calls->has_max_attempts()) calls->set_max_attempts(4);
  if (!calls->has_max_concurrency()) calls->set_max_concurrency(16);
  if (!calls->has_breaker_failures()) calls->set_breaker_failures(8);
  if (!calls->has_breaker_seconds()) calls->set_breaker_seconds(5);
  if (!calls->has_cache_entries()) calls->set_cache_entries(65536);
}

void FillLlmJudgeDefaults(v1::LlmJudgeSpec* llm) {
  if (llm->mode() == v1::LLM_JUDGE_MODE_UNSPECIFIED) llm->set_mode(v1::LLM_JUDGE_MODE_PAIRWISE);
  if (llm->mode() != v1::LLM_JUDGE_MODE_RATING || llm->ratings_size() > 0) return;
  for (const char* word : {"bad", "poor", "fair", "good", "excellent"}) llm->add_ratings(word);
}

// flip_rate, calibration and max_quarantined are of a whole job.
void CheckPart(const std::string& prefix, const v1::OracleSpec& part, Violations* violations) {
  Block block(prefix, violations);
  if (part.flip_rate() > 0) block.Add("flip_rate", "must be 0; only a job's oracle has it");
  if (!part.calibration().empty()) {
    block.Add("calibration", "is given, but only a job's oracle has it");
  }
  if (part.has_max_quarantined()) {
    block.Add("max_quarantined", "is given, but only a job's oracle has it");
  }
}

void CheckToDepth(const std::string& prefix, const v1::OracleSpec& oracle, int depth,
                  Violations* violations) {
  OracleChecks(prefix, oracle, violations).Run();
  for (int k = 0; k < oracle.parts_size(); ++k) {
    const std::string part = absl::StrCat(prefix, "parts[", k, "].");
    Block block(part, violations);
    block.Range("weight", oracle.parts(k).weight(), {-1e6, 1e6});
    if (depth == kOracleDepthMax) {
      block.Add("oracle", absl::StrCat("is nested more than ", kOracleDepthMax, " deep"));
      continue;
    }
    const std::string inner = absl::StrCat(part, "oracle.");
    if (oracle.parts(k).oracle().kind() == v1::ORACLE_KIND_DATASET) {
      block.Add("oracle.kind", "is dataset, which cannot be a part");
    }
    CheckPart(inner, oracle.parts(k).oracle(), violations);
    CheckToDepth(inner, oracle.parts(k).oracle(), depth + 1, violations);
  }
}

bool AnyPart(const v1::OracleSpec& oracle, absl::FunctionRef<bool(const v1::OracleSpec&)> test) {
  return test(oracle) ||
         std::any_of(oracle.parts().begin(), oracle.parts().end(),
                     [&](const v1::OraclePartSpec& part) { return AnyPart(part.oracle(), test); });
}

}  // namespace

void FillOracleDefaults(v1::OracleSpec* oracle) {
  const v1::OracleKind kind = oracle->kind();
  if (kind == v1::ORACLE_KIND_LENGTH && !oracle->has_target_length()) oracle->set_target_length(0);
  if (kind == v1::ORACLE_KIND_BRADLEY_TERRY && !oracle->has_scale()) oracle->set_scale(1);
  if (kind == v1::ORACLE_KIND_IMPLICIT_REWARD && !oracle->has_beta()) oracle->set_beta(0.1);
  if (kind == v1::ORACLE_KIND_LLM_JUDGE) FillLlmJudgeDefaults(oracle->mutable_llm_judge());
  const bool calls_out = !oracle->endpoint().empty() && IsOneOf(kind, kWithEndpoint);
  if (calls_out || oracle->has_calls()) FillCallDefaults(oracle->mutable_calls());
  for (v1::OraclePartSpec& part : *oracle->mutable_parts()) {
    if (!part.has_weight()) part.set_weight(1);
    FillOracleDefaults(part.mutable_oracle());
  }
}

void CheckOracle(const std::string& prefix, const v1::OracleSpec& oracle, Violations* violations) {
  CheckToDepth(prefix, oracle, 1, violations);
}

void CheckInnerOracle(const std::string& prefix, const v1::OracleSpec& oracle,
                      Violations* violations) {
  CheckPart(prefix, oracle, violations);
  CheckToDepth(prefix, oracle, 1, violations);
}

void VisitOraclePaths(const std::string& prefix, v1::OracleSpec* oracle,
                      absl::FunctionRef<void(const std::string& field, std::string* path)> visit) {
  visit(absl::StrCat(prefix, "path"), oracle->mutable_path());
  visit(absl::StrCat(prefix, "reference_path"), oracle->mutable_reference_path());
  visit(absl::StrCat(prefix, "calibration"), oracle->mutable_calibration());
  for (int k = 0; k < oracle->parts_size(); ++k) {
    VisitOraclePaths(absl::StrCat(prefix, "parts[", k, "].oracle."),
                     oracle->mutable_parts(k)->mutable_oracle(), visit);
  }
}

bool HasOracleKind(const v1::OracleSpec& oracle, v1::OracleKind kind) {
  return AnyPart(oracle, [&](const v1::OracleSpec& part) { return part.kind() == kind; });
}

bool AsksOutside(const v1::OracleSpec& oracle) {
  return AnyPart(oracle, [](const v1::OracleSpec& part) {
    return IsOneOf(part.kind(), kWithEndpoint) && !part.endpoint().empty();
  });
}

bool NeedsGold(const v1::OracleSpec& oracle) {
  return AnyPart(oracle,
                 [](const v1::OracleSpec& part) { return IsOneOf(part.kind(), kWithAnswer); });
}

}  // namespace attune
