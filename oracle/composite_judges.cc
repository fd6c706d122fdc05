#include "oracle/composite_judges.h"

#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "spec/answer_check.h"

namespace attune {
namespace {

std::string DigestOf(const std::string& oracle, double scale, const std::vector<JudgePart>& parts) {
  Sha256 digest;
  digest.UpdateField(oracle);
  digest.Update(&scale, sizeof(scale));
  for (const JudgePart& part : parts) {
    if (part.judge->digest().empty()) return "";
    digest.UpdateField(part.judge->oracle());
    digest.UpdateField(part.judge->digest());
    digest.Update(&part.weight, sizeof(part.weight));
  }
  return digest.HexDigest();
}

class CompositeJudge : public Judge {
 protected:
  CompositeJudge(const std::string& oracle, double scale, std::vector<JudgePart> parts)
      : Judge(oracle, DigestOf(oracle, scale, parts)), parts_(std::move(parts)) {}

  const std::vector<JudgePart>& parts() const { return parts_; }

  absl::StatusOr<Verdict> DecidePart(size_t k, const v1::Candidates& item) const {
    const Judge& judge = *parts_[k].judge;
    absl::StatusOr<Verdict> verdict = judge.Decide(item);
    absl::Status status = verdict.status();
    if (status.ok()) {
      status = CheckAnswer(verdict->scores, verdict->preferences,
                           static_cast<size_t>(item.responses_size()));
    }
    if (status.ok()) return verdict;
    return Annotate(status, absl::StrCat("part ", k, " (", judge.oracle(), ")"));
  }

 private:
  const std::vector<JudgePart> parts_;
};

// Joins the scores of the parts one by one: total[i] = join(total[i], weight * score).
template <typename Join>
class JoiningJudge : public CompositeJudge {
 public:
  JoiningJudge(const std::string& oracle, double start, std::vector<JudgePart> parts)
      : CompositeJudge(oracle, /*scale=*/1, std::move(parts)), start_(start) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    Verdict total;
    total.scores.assign(static_cast<size_t>(item.responses_size()), start_);
    for (size_t k = 0; k < parts().size(); ++k) {
      ATTUNE_ASSIGN_OR_RETURN(const Verdict verdict, DecidePart(k, item));
      for (size_t i = 0; i < total.scores.size(); ++i) {
        total.scores[i] = Join()(total.scores[i], parts()[k].weight * verdict.scores[i]);
      }
      total.swaps += verdict.swaps;
      total.swaps_agreed += verdict.swaps_agreed;
    }
    return total;
  }

 private:
  const double start_;
};

class BradleyTerryJudge : public CompositeJudge {
 public:
  BradleyTerryJudge(JudgePart part, double scale)
      : CompositeJudge("bradley_terry/1", scale, {std::move(part)}), scale_(scale) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    ATTUNE_ASSIGN_OR_RETURN(const Verdict part, DecidePart(0, item));
    const size_t n = part.scores.size();
    std::vector<double> preferences(n * n, 0.5);
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i + 1; j < n; ++j) {
        // Halves, so that no gap of finite scores overflows.
        const double gap = 2 * ((part.scores[i] / 2 - part.scores[j] / 2) / scale_);
        preferences[i * n + j] = 1 / (1 + std::exp(-gap));
        preferences[j * n + i] = 1 - preferences[i * n + j];
      }
    }
    Verdict verdict = VerdictOfPreferences(std::move(preferences), n);
    verdict.swaps = part.swaps;
    verdict.swaps_agreed = part.swaps_agreed;
    return verdict;
  }

 private:
  const double scale_;
};

}  // namespace

std::shared_ptr<const Judge> MakeSumJudge(std::vector<JudgePart> parts) {
  return std::make_shared<const JoiningJudge<std::plus<double>>>("sum/1", 0, std::move(parts));
}

std::shared_ptr<const Judge> MakeProductJudge(std::vector<JudgePart> parts) {
  for (JudgePart& part : parts) part.weight = 1;
  return std::make_shared<const JoiningJudge<std::multiplies<double>>>("product/1", 1,
                                                                       std::move(parts));
}

std::shared_ptr<const Judge> MakeBradleyTerryJudge(JudgePart part, double scale) {
  part.weight = 1;
  return std::make_shared<const BradleyTerryJudge>(std::move(part), scale);
}

}  // namespace attune
