// An oracle's specification -> the judge it describes.
#ifndef ATTUNE_ORACLE_JUDGE_FACTORY_H_
#define ATTUNE_ORACLE_JUDGE_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "attune/v1/oracle_spec.pb.h"
#include "common/metrics.h"
#include "oracle/judge_endpoint.h"
#include "rpc/http_client.h"
#include "oracle/judge.h"
#include "oracle/lexicon.h"
#include "oracle/model_cache.h"
#include "oracle/remote_judge.h"

namespace attune {

// Keeps what is costly to make (lexicons, models, connections) for the next judge that needs it.
// Must outlive the judges it made. Thread-safe.
class JudgeFactory {
 public:
  explicit JudgeFactory(Metrics& metrics) : endpoints_(metrics), remotes_(endpoints_) {}

  // INVALID_ARGUMENT with one field violation per problem (spec/oracle_spec.h), or a sentence that
  // names the field, when there is no such judge; UNAVAILABLE when it may succeed later.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> Make(const v1::OracleSpec& spec);

 private:
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeChecked(
      const v1::OracleSpec& spec);

  // sum, product and bradley_terry.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Judge>> MakeComposite(
      const v1::OracleSpec& spec);

  LexiconCache lexicons_;
  ModelCache models_;
  Endpoints endpoints_;
  HttpClient http_;
  RemoteOracles remotes_;
};

}  // namespace attune

#endif  // ATTUNE_ORACLE_JUDGE_FACTORY_H_
