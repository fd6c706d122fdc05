#include "oracle/oracle_service.h"

#include <memory>
#include <string>

#include "common/digest.h"
#include "common/files.h"
#include "gtest/gtest.h"
#include "rpc/channel.h"
#include "rpc/grpc_status.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"

namespace attune {
namespace {

using absl::StatusCode;

class OracleServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(metrics_, Metrics::Create("", "oracle"));
    service_ = std::make_unique<OracleServiceImpl>(*metrics_, /*threads=*/4);
    ASSERT_OK_AND_ASSIGN(server_, RpcServer::Start("127.0.0.1:0", {service_.get()}));
    stub_ = v1::OracleService::NewStub(MakeChannel(server_->address()));
  }

  absl::StatusOr<v1::DescribeResponse> Describe(const v1::OracleSpec& spec) {
    v1::DescribeRequest request;
    *request.mutable_spec() = spec;
    v1::DescribeResponse response;
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(60), /*wait_for_ready=*/true);
    ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stub_->Describe(&context, request, &response)));
    return response;
  }

  absl::StatusOr<v1::JudgeResponse> Judge(const v1::JudgeRequest& request) {
    v1::JudgeResponse response;
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(60), /*wait_for_ready=*/true);
    ATTUNE_RETURN_IF_ERROR(FromGrpcStatus(stub_->Judge(&context, request, &response)));
    return response;
  }

  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<OracleServiceImpl> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::OracleService::Stub> stub_;
};

v1::OracleSpec Pattern(const std::string& pattern) {
  v1::OracleSpec spec;
  spec.set_kind(v1::ORACLE_KIND_REGEX);
  spec.set_pattern(pattern);
  return spec;
}

void AddItem(v1::JudgeRequest& request, uint32_t prompt, std::initializer_list<std::string> texts) {
  v1::Candidates& item = *request.add_items();
  item.set_prompt_index(prompt);
  for (const std::string& text : texts) {
    item.add_responses(text);
    item.add_response_tokens(static_cast<uint32_t>(text.size()));
  }
}

TEST_F(OracleServiceTest, DescribesWhatItWillJudgeWith) {
  ASSERT_OK_AND_ASSIGN(const v1::DescribeResponse response, Describe(Pattern("a+")));
  EXPECT_EQ(response.oracle(), "regex/1");
  EXPECT_EQ(response.oracle_digest(), Sha256Hex("a+"));
}

TEST_F(OracleServiceTest, RefusesToDescribeWhatItCannotDo) {
  EXPECT_THAT(Describe(Pattern("(")), StatusIs(StatusCode::kInvalidArgument, "oracle.pattern"));
  v1::OracleSpec lexicon;
  lexicon.set_kind(v1::ORACLE_KIND_LEXICON);
  lexicon.set_path("/nowhere/lexicon.tsv");
  EXPECT_THAT(Describe(lexicon), StatusIs(StatusCode::kInvalidArgument, "/nowhere/lexicon.tsv"));
}

TEST_F(OracleServiceTest, JudgesItemsInOrder) {
  v1::JudgeRequest request;
  *request.mutable_spec() = Pattern("a");
  AddItem(request, 7, {"banana", "kiwi", "papaya"});
  AddItem(request, 3, {"a", ""});
  ASSERT_OK_AND_ASSIGN(const v1::JudgeResponse response, Judge(request));
  ASSERT_EQ(response.judgments_size(), 2);
  EXPECT_EQ(response.judgments(0).prompt_index(), 7u);
  EXPECT_THAT(response.judgments(0).scores(), testing::ElementsAre(3.0, 0.0, 3.0));
  EXPECT_EQ(response.judgments(0).oracle(), "regex/1");
  EXPECT_EQ(response.judgments(0).oracle_digest(), Sha256Hex("a"));
  EXPECT_EQ(response.judgments(1).prompt_index(), 3u);
  EXPECT_THAT(response.judgments(1).scores(), testing::ElementsAre(1.0, 0.0));
}

TEST_F(OracleServiceTest, JudgesByTheLengthsItIsTold) {
  v1::JudgeRequest request;
  request.mutable_spec()->set_kind(v1::ORACLE_KIND_LENGTH);
  request.mutable_spec()->set_target_length(3);
  AddItem(request, 0, {"ab", "abc", "abcdef"});
  ASSERT_OK_AND_ASSIGN(const v1::JudgeResponse response, Judge(request));
  EXPECT_THAT(response.judgments(0).scores(), testing::ElementsAre(-1.0, 0.0, -3.0));
}

TEST_F(OracleServiceTest, RefusesMoreItemsThanItsLimit) {
  v1::JudgeRequest request;
  *request.mutable_spec() = Pattern("a");
  for (int i = 0; i < OracleServiceImpl::kItemsMax; ++i) AddItem(request, i, {"a"});
  EXPECT_OK(Judge(request));
  AddItem(request, OracleServiceImpl::kItemsMax, {"a"});
  EXPECT_THAT(Judge(request),
              StatusIs(StatusCode::kInvalidArgument, "1025 items, the limit is 1024"));
}

TEST_F(OracleServiceTest, RefusesAnItemWithoutALengthForEachResponse) {
  v1::JudgeRequest request;
  *request.mutable_spec() = Pattern("a");
  AddItem(request, 4, {"a", "b"});
  request.mutable_items(0)->mutable_response_tokens()->RemoveLast();
  EXPECT_THAT(Judge(request), StatusIs(StatusCode::kInvalidArgument,
                                       "prompt 4 has 2 responses but 1 response_tokens"));
}

TEST_F(OracleServiceTest, AnItemThatCannotBeJudgedHasAFailureAndNoScore) {
  v1::JudgeRequest request;
  *request.mutable_spec() = Pattern("(a+)+[bc]");
  AddItem(request, 9, {"ab", std::string(60, 'a')});
  AddItem(request, 4, {"ab", "aab"});
  ASSERT_OK_AND_ASSIGN(const v1::JudgeResponse response, Judge(request));
  EXPECT_THAT(response.judgments(0).failure(), testing::HasSubstr("scoring response 1"));
  EXPECT_EQ(response.judgments(0).scores_size(), 0);
  EXPECT_EQ(response.judgments(1).failure(), "");
  EXPECT_THAT(response.judgments(1).scores(), testing::ElementsAre(1.0, 1.0));
}

}  // namespace
}  // namespace attune
