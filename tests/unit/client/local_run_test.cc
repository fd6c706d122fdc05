// LocalRun with shell scripts in place of the servers; the coordinator's script announces a fake
// JobService of this process.
#include "client/local_run.h"

#include <sys/stat.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "client/stop_wait.h"
#include "common/digest.h"
#include "common/files.h"
#include "tests/unit/client/fake_job_service.h"

namespace attune {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LocalRunTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(root_, MakeTemporaryDirectory("local_run_test"));
    service_.workers = {MakeWorker(v1::WORKER_ROLE_ROLLOUT), MakeWorker(v1::WORKER_ROLE_ORACLE),
                        MakeWorker(v1::WORKER_ROLE_TRAINER, 0, "gang")};
    service_.list = [this](const auto&, v1::ListJobsResponse* response) {
      if (earlier_.has_value()) *response->add_jobs() = *earlier_;
      return absl::OkStatus();
    };
    service_.create = [this](const v1::CreateJobRequest& request, v1::Job* job) -> absl::Status {
      if (!refused_.empty()) return BadRequestError(refused_);
      if (!request.validate_only()) ++created_;
      *job = MakeJob("jobs/x", v1::JOB_STATE_QUEUED);
      return absl::OkStatus();
    };
    service_.get = [this](const std::string& name, v1::Job* job) {
      *job = MakeJob(name, end_state_);
      return absl::OkStatus();
    };
    service_.cancel = [this](const std::string& name, v1::Job* job) {
      ++cancelled_;
      end_state_ = v1::JOB_STATE_CANCELLED;
      *job = MakeJob(name, v1::JOB_STATE_CANCELLING);
      return absl::OkStatus();
    };
    service_.watch = [this](grpc::ServerContext*, const auto&, const auto& send) {
      send(MakeEvent(1, end_state_, "the job ended"));
      return absl::OkStatus();
    };
    v1::FileChunk chunk;
    chunk.set_file("config.json");
    chunk.set_data("{}");
    chunk.set_size(2);
    chunk.set_sha256(Sha256Hex("{}"));
    service_.chunks = {chunk};
    server_ = StartFake(service_);
    AddScript("attune-coordinator", absl::StrCat("echo listening ", server_->address(),
                                                 " metrics 127.0.0.1:1; exec sleep 1000"));
    for (const std::string name : {"attune-rollout", "attune-oracle", "attune-trainer"}) {
      AddScript(name, "exec sleep 1000");
    }
  }
  void TearDown() override {
    std::fclose(shown_);
    RemoveAll(root_).IgnoreError();
  }

  void AddScript(const std::string& name, const std::string& script) {
    const std::string path = JoinPath(root_, absl::StrCat("bin/", name));
    ASSERT_OK(CreateDirectories(ParentPath(path)));
    ASSERT_OK(WriteFile(path, absl::StrCat("#!/bin/sh\n", script, "\n")));
    ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  }
  std::string Out(const std::string& name = "") const {
    return JoinPath(root_, name.empty() ? "deep/out" : "deep/out/" + name);
  }
  absl::StatusOr<LocalRunResult> Run(const JobFile& file = {}) {
    LocalClusterOptions options;
    options.binary_directory = JoinPath(root_, "bin");
    options.model_root = root_;
    Terminal terminal(shown_);
    LocalRun run(Out(), options, terminal, stop_.get_token());
    return run.Execute(file);
  }
  // As an earlier run leaves its directory.
  void LeaveEarlier(const v1::Job& job) {
    ASSERT_OK(CreateDirectories(Out("cluster/logs")));
    ASSERT_OK(WriteFile(Out("cluster/logs/coordinator.log"), "earlier\n"));
    ASSERT_OK(CreateDirectories(Out("model")));
    ASSERT_OK(WriteFile(Out("model/old"), "x"));
    earlier_ = job;
  }

  std::string root_;
  FakeJobService service_;
  std::optional<v1::Job> earlier_;
  std::vector<FieldViolation> refused_;
  std::atomic<v1::JobState> end_state_ = v1::JOB_STATE_SUCCEEDED;
  std::atomic<int> created_ = 0, cancelled_ = 0;
  std::stop_source stop_;
  std::FILE* shown_ = std::tmpfile();
  std::unique_ptr<RpcServer> server_;
};

TEST_F(LocalRunTest, LeavesReportModelAndLogs) {
  service_.watch = [this](grpc::ServerContext*, const auto&, const auto& send) {
    // The fake has workers before their processes are there.
    while (!FileExists(Out("cluster/logs/trainer.log"))) {
      WaitUnlessStopped({}, absl::Milliseconds(5));
    }
    send(MakeEvent(1, v1::JOB_STATE_SUCCEEDED, "the job ended"));
    return absl::OkStatus();
  };
  ASSERT_OK_AND_ASSIGN(const LocalRunResult result, Run());
  EXPECT_EQ(result.job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(ListDirectory(Out()).value(), ElementsAre("cluster", "model", "report.json"));
  EXPECT_EQ(ReadFile(Out("model/config.json")).value(), "{}");
  EXPECT_THAT(ReadFile(Out("report.json")).value(), HasSubstr("\"state\": \"SUCCEEDED\""));
  EXPECT_THAT(ListDirectory(Out("cluster/logs")).value(),
              ElementsAre("coordinator.log", "oracle.log", "rollout-0.log", "trainer.log"));
}

TEST_F(LocalRunTest, AFailedJobHasAReportAndNoModel) {
  end_state_ = v1::JOB_STATE_FAILED;
  ASSERT_OK_AND_ASSIGN(const LocalRunResult result, Run());
  EXPECT_EQ(result.job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(ListDirectory(Out()).value(), ElementsAre("cluster", "report.json"));
}

TEST_F(LocalRunTest, ARefusedJobLeavesNothing) {
  refused_ = {{"rounds", "is 0"}, {"seed", "is odd"}};
  JobFile file;
  file.violations = {{"model", "must be a map"}};
  const absl::StatusOr<LocalRunResult> result = Run(file);
  EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument,
                               "model: must be a map; rounds: is 0; seed: is odd"));
  EXPECT_THAT(ListDirectory(root_).value(), ElementsAre("bin"));
  EXPECT_EQ(created_, 0);
}

TEST_F(LocalRunTest, ARefusedJobKeepsWhatAnEarlierOneLeft) {
  LeaveEarlier(MakeJob("jobs/old", v1::JOB_STATE_SUCCEEDED));
  refused_ = {{"rounds", "is 0"}};
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kInvalidArgument, "rounds: is 0"));
  EXPECT_TRUE(FileExists(Out("model/old")));
  EXPECT_TRUE(DirectoryExists(Out("cluster")));
}

TEST_F(LocalRunTest, AFinishedEarlierJobMakesRoom) {
  LeaveEarlier(MakeJob("jobs/old", v1::JOB_STATE_SUCCEEDED));
  ASSERT_OK(Run());
  EXPECT_EQ(created_, 1);
  EXPECT_FALSE(FileExists(Out("model/old")));
  EXPECT_TRUE(FileExists(Out("model/config.json")));
  EXPECT_EQ(ReadFile(Out("cluster/logs/coordinator.log")).value(), "");
}

TEST_F(LocalRunTest, AnUnfinishedEarlierJobIsContinued) {
  LeaveEarlier(MakeJob("jobs/old", v1::JOB_STATE_RUNNING));
  ASSERT_OK_AND_ASSIGN(const LocalRunResult result, Run());
  EXPECT_EQ(result.job.name(), "jobs/old");
  EXPECT_EQ(created_, 0);
}

TEST_F(LocalRunTest, AnUnfinishedJobOfAnotherFileIsNotTouched) {
  LeaveEarlier(MakeJob("jobs/old", v1::JOB_STATE_RUNNING));
  JobFile file;
  file.spec.set_rounds(7);
  EXPECT_THAT(Run(file), StatusIs(absl::StatusCode::kFailedPrecondition, "unfinished jobs/old"));
  EXPECT_TRUE(FileExists(Out("model/old")));
}

TEST_F(LocalRunTest, DirectoriesOfTheUserAreNotReplaced) {
  ASSERT_OK(CreateDirectories(Out("model")));
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kFailedPrecondition, "not from an earlier run"));
  EXPECT_THAT(ListDirectory(Out()).value(), ElementsAre("model"));
}

TEST_F(LocalRunTest, AStopCancelsTheJobAndKeepsTheData) {
  service_.watch = [this](grpc::ServerContext*, const auto&, const auto& send) {
    send(MakeEvent(1, v1::JOB_STATE_RUNNING, "running"));
    stop_.request_stop();
    return absl::UnavailableError("cut");
  };
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kCancelled, "stopped"));
  EXPECT_EQ(cancelled_, 1);
  EXPECT_THAT(ListDirectory(Out()).value(), ElementsAre("cluster"));
}

TEST_F(LocalRunTest, AServerThatCannotStartIsNamedWithItsLog) {
  AddScript("attune-coordinator", "echo the store is locked >&2; exit 1");
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kUnavailable, "    the store is locked\n"));
}

TEST_F(LocalRunTest, AWorkerThatCannotStartEndsTheRun) {
  service_.workers.pop_back();
  AddScript("attune-trainer", "echo no MPI >&2; exit 1");
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kUnavailable, "    no MPI\n"));
}

}  // namespace
}  // namespace attune
