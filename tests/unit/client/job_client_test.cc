#include "client/job_client.h"

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/unit/client/fake_job_service.h"

namespace attune {
namespace {

constexpr JobClientOptions kPatient = {.retry_budget = absl::Seconds(60),
                                       .watch_budget = absl::Seconds(60)};
constexpr JobClientOptions kHasty = {.retry_budget = absl::Milliseconds(300),
                                     .watch_budget = absl::Milliseconds(300)};

TEST(JobClientTest, NamesMayLeaveOutTheCollection) {
  EXPECT_EQ(JobName("x"), "jobs/x");
  EXPECT_EQ(JobName("jobs/x"), "jobs/x");
}

TEST(JobClientTest, AsksAgainWhileTheCoordinatorIsBusyOrAway) {
  FakeJobService service;
  std::atomic<int> calls = 0;
  service.get = [&](const std::string& name, v1::Job* job) -> absl::Status {
    const int call = ++calls;
    if (call == 1) return absl::UnavailableError("starting");
    if (call == 2) return OverloadedError("full", absl::Seconds(1));
    job->set_name(name);
    return absl::OkStatus();
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), {}, kPatient);
  ASSERT_OK_AND_ASSIGN(const v1::Job job, client.GetJob("jobs/x"));
  EXPECT_EQ(job.name(), "jobs/x");
  EXPECT_EQ(calls, 3);
}

TEST(JobClientTest, DoesNotRepeatWhatWasRefused) {
  FakeJobService service;
  std::atomic<int> calls = 0;
  service.create = [&](const v1::CreateJobRequest&, v1::Job*) {
    ++calls;
    return BadRequestError({{"rounds", "is 0, must be 1 to 1000"}});
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), {}, kPatient);
  const absl::StatusOr<v1::Job> job = client.CreateJob({});
  EXPECT_THAT(job, StatusIs(absl::StatusCode::kInvalidArgument, "rounds"));
  ASSERT_EQ(FieldViolations(job.status()).size(), 1u);
  EXPECT_EQ(calls, 1);
}

TEST(JobClientTest, ARetriedCreationKeepsItsRequestId) {
  FakeJobService service;
  absl::Mutex mu;
  std::vector<std::string> ids;
  service.create = [&](const v1::CreateJobRequest& request, v1::Job*) -> absl::Status {
    absl::MutexLock lock(&mu);
    ids.push_back(request.request_id());
    return ids.size() == 1 ? absl::UnavailableError("lost") : absl::OkStatus();
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), {}, kPatient);
  ASSERT_OK(client.CreateJob({}));
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_NE(ids[0], "");
  EXPECT_EQ(ids[0], ids[1]);
}

TEST(JobClientTest, SaysWhichCoordinatorIsAway) {
  FakeJobService service;
  auto server = StartFake(service);
  const std::string address = server->address();
  server.reset();
  JobClient client(address, {}, kHasty);
  EXPECT_THAT(client.ListJobs(),
              StatusIs(absl::StatusCode::kUnavailable,
                       absl::StrCat("cannot reach the coordinator at ", address)));
}

TEST(JobClientTest, CollectsAllPages) {
  FakeJobService service;
  service.list = [&](const v1::ListJobsRequest& request, v1::ListJobsResponse* response) {
    response->add_jobs()->set_name(absl::StrCat("jobs/after-", request.page_token()));
    if (request.page_token().empty()) response->set_next_page_token("1");
    if (request.page_token() == "1") response->set_next_page_token("2");
    return absl::OkStatus();
  };
  const auto server = StartFake(service);
  JobClient client(server->address());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::Job> jobs, client.ListJobs());
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[2].name(), "jobs/after-2");
}

// "1:message 2:message", as a watcher was told.
std::string Told(const std::vector<v1::JobEvent>& events) {
  return absl::StrJoin(events, " ", [](std::string* out, const v1::JobEvent& event) {
    absl::StrAppend(out, event.sequence(), ":",
                    event.has_progress() ? absl::StrCat("p", event.progress().done())
                                         : event.message());
  });
}

v1::JobEvent ProgressEvent(uint64_t sequence, uint64_t done) {
  v1::JobEvent event = MakeEvent(sequence, v1::JOB_STATE_RUNNING, "");
  event.mutable_progress()->set_done(done);
  return event;
}

TEST(JobClientTest, WatchGoesOnWhereABrokenStreamEnded) {
  FakeJobService service;
  absl::Mutex mu;
  std::vector<uint64_t> asked;
  service.watch = [&](grpc::ServerContext*, const v1::WatchJobRequest& request,
                      const FakeJobService::SendEvent& send) -> absl::Status {
    absl::MutexLock lock(&mu);
    asked.push_back(request.after_sequence());
    if (asked.size() == 1) {
      send(MakeEvent(1, v1::JOB_STATE_QUEUED, "queued"));
      send(MakeEvent(2, v1::JOB_STATE_RUNNING, "running"));
      send(ProgressEvent(2, 10));
      return absl::UnavailableError("stopping");
    }
    send(ProgressEvent(3, 11));  // live progress may overtake a stored event
    send(MakeEvent(2, v1::JOB_STATE_RUNNING, "running again"));
    send(MakeEvent(3, v1::JOB_STATE_RUNNING, "paired"));
    send(MakeEvent(4, v1::JOB_STATE_SUCCEEDED, "done"));
    return absl::OkStatus();
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), {}, kPatient);
  std::vector<v1::JobEvent> events;
  ASSERT_OK(client.WatchJob("jobs/x", 0, [&](const auto& event) { events.push_back(event); }));
  EXPECT_EQ(Told(events), "1:queued 2:running 2:p10 3:p11 3:paired 4:done");
  EXPECT_EQ(asked, (std::vector<uint64_t>{0, 2}));
}

TEST(JobClientTest, WatchSurvivesARestartOfTheCoordinator) {
  FakeJobService service;
  absl::Mutex mu;
  bool restarted = false, first_sent = false;
  service.watch = [&](grpc::ServerContext* context, const v1::WatchJobRequest&,
                      const FakeJobService::SendEvent& send) -> absl::Status {
    absl::MutexLock lock(&mu);
    if (!restarted) {
      send(MakeEvent(1, v1::JOB_STATE_RUNNING, "running"));
      first_sent = true;
      mu.Await(absl::Condition(&restarted));
      return absl::UnavailableError("stopping");
    }
    send(MakeEvent(2, v1::JOB_STATE_SUCCEEDED, "done"));
    return absl::OkStatus();
  };
  auto server = StartFake(service);
  const std::string address = server->address();
  std::vector<v1::JobEvent> events;
  absl::Status watched;
  std::thread watcher([&] {
    JobClient client(address, {}, kPatient);
    watched = client.WatchJob("jobs/x", 0, [&](const auto& event) { events.push_back(event); });
  });
  {
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(&first_sent));
    restarted = true;
  }
  server.reset();
  server = StartFake(service, address);
  watcher.join();
  EXPECT_OK(watched);
  EXPECT_EQ(Told(events), "1:running 2:done");
}

TEST(JobClientTest, WatchGivesUpWhenNobodyAnswers) {
  FakeJobService service;
  auto server = StartFake(service);
  const std::string address = server->address();
  server.reset();
  JobClient client(address, {}, kHasty);
  EXPECT_THAT(client.WatchJob("jobs/x", 0, [](const auto&) {}),
              StatusIs(absl::StatusCode::kUnavailable, address));
}

TEST(JobClientTest, WatchOfAnUnknownJobIsNotRepeated) {
  FakeJobService service;
  std::atomic<int> calls = 0;
  service.watch = [&](grpc::ServerContext*, const auto&, const auto&) -> absl::Status {
    ++calls;
    return ResourceNotFoundError("job", "jobs/x");
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), {}, kPatient);
  EXPECT_THAT(client.WatchJob("jobs/x", 0, [](const auto&) {}),
              StatusIs(absl::StatusCode::kNotFound, "jobs/x"));
  EXPECT_EQ(calls, 1);
}

TEST(JobClientTest, WatchOfAFinishedJobEndsWithoutEvents) {
  FakeJobService service;
  service.watch = [](grpc::ServerContext*, const auto&, const auto&) { return absl::OkStatus(); };
  service.get = [](const std::string& name, v1::Job* job) {
    *job = MakeJob(name, v1::JOB_STATE_FAILED);
    return absl::OkStatus();
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), {}, kPatient);
  EXPECT_OK(client.WatchJob("jobs/x", 7, [](const auto&) {}));
}

TEST(JobClientTest, AStopRequestEndsAWatch) {
  FakeJobService service;
  std::stop_source stop;
  service.watch = [&](grpc::ServerContext* context, const auto&, const auto& send) -> absl::Status {
    send(MakeEvent(1, v1::JOB_STATE_RUNNING, "running"));
    // Silent until the client has gone.
    absl::Mutex mu;
    absl::MutexLock lock(&mu);
    while (!context->IsCancelled()) mu.AwaitWithTimeout(absl::Condition(+[](int*) { return false; },
                                                                       static_cast<int*>(nullptr)),
                                                        absl::Milliseconds(5));
    return absl::CancelledError("left");
  };
  const auto server = StartFake(service);
  JobClient client(server->address(), stop.get_token(), kPatient);
  EXPECT_THAT(client.WatchJob("jobs/x", 0, [&](const auto&) { stop.request_stop(); }),
              StatusIs(absl::StatusCode::kCancelled, "stopped"));
  EXPECT_THAT(client.GetJob("jobs/x"), StatusIs(absl::StatusCode::kCancelled, "stopped"));
}

TEST(JobClientTest, AStopRequestEndsTheWaitForACoordinator) {
  FakeJobService service;
  auto server = StartFake(service);
  const std::string address = server->address();
  server.reset();
  std::stop_source stop;
  absl::Status status;
  std::thread caller([&] {
    JobClient client(address, stop.get_token(), {.retry_budget = absl::Hours(1)});
    status = client.GetJob("jobs/x").status();
  });
  stop.request_stop();
  caller.join();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, "stopped"));
}

TEST(JobClientTest, PairsEndWithTheConsumersError) {
  FakeJobService service;
  service.pairs.resize(3);
  const auto server = StartFake(service);
  JobClient client(server->address());
  int pairs = 0;
  EXPECT_OK(client.ListPairs("jobs/x", [&](const v1::Pair&) {
    ++pairs;
    return absl::OkStatus();
  }));
  EXPECT_EQ(pairs, 3);
  EXPECT_THAT(client.ListPairs("jobs/x",
                               [](const v1::Pair&) { return absl::DataLossError("disk full"); }),
              StatusIs(absl::StatusCode::kDataLoss, "disk full"));
}

}  // namespace
}  // namespace attune
