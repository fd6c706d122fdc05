#include "oracle/remote_judge.h"

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/digest.h"
#include "common/status_macros.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"
#include "spec/answer_check.h"

namespace attune {
namespace {

constexpr char kOracle[] = "remote/1";
constexpr size_t kOraclesMax = 64;

// The status of a call of a foreign service, whose words may be any bytes: fit for our messages.
absl::Status FromForeignStatus(const grpc::Status& foreign) {
  const absl::Status status = FromGrpcStatus(foreign);
  absl::Status printable(status.code(), absl::CHexEscape(status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    printable.SetPayload(url, payload);
  });
  return printable;
}

// Empty where the service does not say what decides.
std::string DigestOf(const std::string& address, const v1::DescribeResponse& description) {
  if (description.oracle_digest().empty()) return "";
  Sha256 sha;
  for (const std::string& field :
       {std::string(kOracle), address, description.oracle(), description.oracle_digest()}) {
    sha.UpdateField(field);
  }
  return sha.HexDigest();
}

v1::OracleSpec SpecToSend() {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_REMOTE);
  return spec;
}

class RemoteJudge : public Judge {
 public:
  RemoteJudge(const v1::CallSpec& calls, std::shared_ptr<Endpoint> endpoint,
              std::shared_ptr<RemoteOracle> remote, const v1::DescribeResponse& description)
      : Judge(kOracle, DigestOf(endpoint->address(), description)),
        calls_(calls),
        endpoint_(std::move(endpoint)),
        remote_(std::move(remote)),
        description_(description) {}

  absl::StatusOr<Verdict> Decide(const v1::Candidates& item) const override {
    v1::JudgeRequest request;
    *request.mutable_spec() = SpecToSend();
    *request.add_items() = item;
    v1::Judgment judgment;
    Verdict verdict;
    ATTUNE_RETURN_IF_ERROR(endpoint_->Call(calls_, item.prompt_index(), [&]() -> absl::Status {
      v1::JudgeResponse response;
      grpc::ClientContext context;
      SetDeadline(context, absl::Seconds(calls_.timeout_seconds()));
      ATTUNE_RETURN_IF_ERROR(FromForeignStatus(remote_->stub->Judge(&context, request, &response)));
      return Unpack(item, response, &judgment, &verdict);
    }));
    if (!judgment.failure().empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat(endpoint_->address(), " could not judge it: ", judgment.failure()));
    }
    if (!judgment.oracle_digest().empty() &&
        judgment.oracle_digest() != description_.oracle_digest()) {
      return absl::FailedPreconditionError(
          absl::StrCat(endpoint_->address(), " described itself with the digest \"",
                       description_.oracle_digest(), "\" and judged with \"",
                       judgment.oracle_digest(), "\"; was it replaced?"));
    }
    return verdict;
  }

 private:
  // INTERNAL unless it is a failure, or a verdict of all responses.
  static absl::Status Unpack(const v1::Candidates& item, const v1::JudgeResponse& response,
                             v1::Judgment* judgment, Verdict* verdict) {
    if (response.judgments_size() != 1) {
      return absl::InternalError(
          absl::StrCat("it answered ", response.judgments_size(), " judgments for 1 item"));
    }
    *judgment = response.judgments(0);
    if (judgment->prompt_index() != item.prompt_index()) {
      return absl::InternalError(absl::StrCat("it judged prompt ", judgment->prompt_index(),
                                              " when asked for ", item.prompt_index()));
    }
    if (!judgment->failure().empty()) return absl::OkStatus();
    *verdict = {.scores = {judgment->scores().begin(), judgment->scores().end()},
                .preferences = {judgment->preferences().begin(), judgment->preferences().end()},
                .swaps = judgment->swaps(),
                .swaps_agreed = judgment->swaps_agreed()};
    return CheckAnswer(verdict->scores, verdict->preferences,
                       static_cast<size_t>(item.responses_size()));
  }

  const v1::CallSpec calls_;
  const std::shared_ptr<Endpoint> endpoint_;
  const std::shared_ptr<RemoteOracle> remote_;
  const v1::DescribeResponse description_;
};

// What the service says of itself now, or said last if it cannot be asked.
absl::StatusOr<v1::DescribeResponse> Describe(const v1::CallSpec& calls, Endpoint& endpoint,
                                              RemoteOracle& remote) {
  v1::DescribeRequest request;
  *request.mutable_spec() = SpecToSend();
  v1::DescribeResponse response;
  const absl::Status status = endpoint.Call(calls, /*key=*/0, [&] {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(calls.timeout_seconds()));
    return FromForeignStatus(remote.stub->Describe(&context, request, &response));
  });
  absl::MutexLock lock(&remote.mu);
  if (status.ok()) {
    remote.description = response;
    remote.described = true;
  } else if (!IsWorthRepeating(status)) {
    return absl::InvalidArgumentError(
        absl::StrCat("oracle.endpoint: Describe of ", status.message()));
  } else if (!remote.described) {
    return absl::UnavailableError(absl::StrCat("oracle.endpoint: Describe of ", status.message()));
  }
  return remote.description;
}

}  // namespace

RemoteOracle::RemoteOracle(const std::string& address)
    : stub(v1::OracleService::NewStub(MakeChannel(address))) {}

absl::StatusOr<std::shared_ptr<const Judge>> RemoteOracles::Make(const v1::OracleSpec& spec) {
  std::shared_ptr<RemoteOracle> remote;
  {
    absl::MutexLock lock(&mu_);
    if (oracles_.size() >= kOraclesMax) {
      std::erase_if(oracles_, [](const auto& entry) { return entry.second.use_count() == 1; });
    }
    std::shared_ptr<RemoteOracle>& entry = oracles_[spec.endpoint()];
    if (entry == nullptr) entry = std::make_shared<RemoteOracle>(spec.endpoint());
    remote = entry;
  }
  std::shared_ptr<JudgeEndpoint> endpoint = endpoints_.Find(kOracle, spec.endpoint());
  ATTUNE_ASSIGN_OR_RETURN(const v1::DescribeResponse description,
                          Describe(spec.calls(), *endpoint, *remote));
  auto judge = std::make_shared<RemoteJudge>(spec.calls(), endpoint, remote, description);
  if (description.oracle_digest().empty()) return judge;
  return endpoint->Cached(spec.calls(), std::move(judge));
}

}  // namespace attune
