// The public service over a real connection and a real store, without workers.
#include "coordinator/job_service.h"

#include <memory>
#include <string>
#include <vector>

#include "common/files.h"
#include "gtest/gtest.h"
#include "rpc/channel.h"
#include "rpc/server.h"
#include "tests/testing/status_matchers.h"
#include "tests/unit/coordinator/fake_workers.h"

namespace attune {
namespace {

class JobServiceTest : public testing::Test {
 protected:
  JobServiceTest() : directory_(MakeTemporaryDirectory("job-service-test").value()) {
    store_ = Store::Open(JoinPath(directory_, "store")).value();
    metrics_ = Metrics::Create("", "coordinator").value();
    book_ = JobBook::Open(store_.get(), metrics_.get()).value();
    service_ = std::make_unique<JobServiceImpl>(book_.get(), store_.get(), &membership_, &workers_,
                                                std::string(ATTUNE_SOURCE_DIR));
    server_ = RpcServer::Start("127.0.0.1:0", {service_.get()}).value();
    stub_ = v1::JobService::NewStub(MakeChannel(server_->address()));
    std::string lines;
    for (int i = 0; i < 100; ++i) lines += "{\"prompt\": \"Once\"}\n";
    EXPECT_OK(WriteFile(JoinPath(directory_, "prompts.jsonl"), lines));
  }
  ~JobServiceTest() override {
    book_->Shutdown();
    server_.reset();
    EXPECT_OK(RemoveAll(directory_));
  }

  v1::CreateJobRequest ValidRequest() const {
    v1::CreateJobRequest request;
    request.mutable_spec()->set_name("tale");
    request.mutable_spec()->mutable_model()->set_path("models/stories260k");
    request.mutable_spec()->mutable_dataset()->set_path(JoinPath(directory_, "prompts.jsonl"));
    request.mutable_spec()->mutable_oracle()->set_kind(v1::ORACLE_KIND_LENGTH);
    return request;
  }
  absl::StatusOr<v1::Job> Create(const v1::CreateJobRequest& request) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    v1::Job job;
    const grpc::Status status = stub_->CreateJob(&context, request, &job);
    if (!status.ok()) return FromGrpcStatus(status);
    return job;
  }
  absl::Status Cancel(const std::string& name, v1::Job* job) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    v1::CancelJobRequest request;
    request.set_name(name);
    return FromGrpcStatus(stub_->CancelJob(&context, request, job));
  }
  std::vector<v1::Job> List(uint32_t page_size, std::string* token) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    v1::ListJobsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(*token);
    v1::ListJobsResponse response;
    EXPECT_TRUE(stub_->ListJobs(&context, request, &response).ok());
    *token = response.next_page_token();
    return {response.jobs().begin(), response.jobs().end()};
  }

  const std::string directory_;
  Membership membership_;
  FakeWorkers workers_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<JobBook> book_;
  std::unique_ptr<JobServiceImpl> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::JobService::Stub> stub_;
};

TEST_F(JobServiceTest, CreatesAQueuedJobWithDefaults) {
  ASSERT_OK_AND_ASSIGN(const v1::Job job, Create(ValidRequest()));
  EXPECT_EQ(job.name().rfind("jobs/tale-", 0), 0u) << job.name();
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.resolved_spec().rounds(), 3u);
  EXPECT_FALSE(job.spec().has_rounds());
  EXPECT_FALSE(job.dataset_digest().empty());
}

TEST_F(JobServiceTest, TheSameRequestIdGivesTheSameJob) {
  v1::CreateJobRequest request = ValidRequest();
  request.set_request_id("once");
  ASSERT_OK_AND_ASSIGN(const v1::Job first, Create(request));
  ASSERT_OK_AND_ASSIGN(const v1::Job second, Create(request));
  EXPECT_EQ(first.name(), second.name());
}

TEST_F(JobServiceTest, NamesEveryProblemAtOnceAndStoresNothing) {
  v1::CreateJobRequest request = ValidRequest();
  request.mutable_spec()->mutable_model()->set_path("models/none");
  request.mutable_spec()->set_rounds(0);
  request.mutable_spec()->mutable_training()->set_learning_rate(-1);
  request.mutable_spec()->mutable_oracle()->set_kind(v1::ORACLE_KIND_LEXICON);
  const absl::Status status = Create(request).status();
  std::string fields;
  for (const FieldViolation& violation : FieldViolations(status)) fields += violation.field + " ";
  for (const char* field : {"model.path", "rounds", "training.learning_rate", "oracle.path"}) {
    EXPECT_NE(fields.find(field), std::string::npos) << field << " in " << fields;
  }
  std::string token;
  EXPECT_TRUE(List(10, &token).empty());
}

TEST_F(JobServiceTest, ValidateOnlyStoresNothing) {
  v1::CreateJobRequest request = ValidRequest();
  request.set_validate_only(true);
  EXPECT_OK(Create(request));
  std::string token;
  EXPECT_TRUE(List(10, &token).empty());
}

TEST_F(JobServiceTest, ListsNewestFirstPageByPage) {
  std::vector<std::string> created;
  for (int i = 0; i < 5; ++i) created.push_back(Create(ValidRequest())->name());
  std::vector<std::string> listed;
  std::string token;
  do {
    for (const v1::Job& job : List(2, &token)) listed.push_back(job.name());
  } while (!token.empty());
  EXPECT_EQ(listed, std::vector<std::string>(created.rbegin(), created.rend()));
}

TEST_F(JobServiceTest, CancelsAQueuedJobAtOnceAndAgainWithoutHarm) {
  ASSERT_OK_AND_ASSIGN(const v1::Job job, Create(ValidRequest()));
  v1::Job cancelled;
  EXPECT_OK(Cancel(job.name(), &cancelled));
  EXPECT_EQ(cancelled.state(), v1::JOB_STATE_CANCELLED);
  EXPECT_OK(Cancel(job.name(), &cancelled));
  EXPECT_EQ(cancelled.state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobServiceTest, SaysWhichJobDoesNotExist) {
  v1::Job job;
  EXPECT_THAT(Cancel("jobs/none", &job), StatusIs(absl::StatusCode::kNotFound, "jobs/none"));
  EXPECT_THAT(Cancel("none", &job),
              StatusIs(absl::StatusCode::kInvalidArgument, "is not a resource name"));
}

TEST_F(JobServiceTest, WatchGivesEveryEventAndEndsWithTheJob) {
  ASSERT_OK_AND_ASSIGN(const v1::Job job, Create(ValidRequest()));
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  v1::WatchJobRequest request;
  request.set_name(job.name());
  auto stream = stub_->WatchJob(&context, request);
  v1::JobEvent event;
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.sequence(), 1u);
  v1::Job cancelled;
  EXPECT_OK(Cancel(job.name(), &cancelled));
  ASSERT_TRUE(stream->Read(&event));
  EXPECT_EQ(event.sequence(), 2u);
  EXPECT_EQ(event.state(), v1::JOB_STATE_CANCELLED);
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace attune
