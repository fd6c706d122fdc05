"""kill -9 of any process at any time: the job goes on by itself and ends with the same result."""

import os
import signal
import unittest

import grpc

from harness import IntegrationTest, small_job
from reflection import Server

PHASES = ["ROUND_PHASE_PROMPTS", "ROUND_PHASE_SAMPLED", "ROUND_PHASE_JUDGED",
          "ROUND_PHASE_PAIRED", "ROUND_PHASE_TRAINED", "ROUND_PHASE_PUBLISHED"]


class CrashTest(IntegrationTest):
    def follow(self, server, job, on_phase):
        """Watches the job to its end; on_phase(round, phase) for every phase that is done."""
        sequence = 0
        while True:
            try:
                for event in server.stream("attune.v1.JobService/WatchJob", name=job,
                                           after_sequence=sequence):
                    if "progress" in event:
                        continue
                    sequence = int(event["sequence"])
                    if "record" in event:
                        on_phase(event["record"].get("round", 0), event["record"]["phase"])
                job_now = server.call("attune.v1.JobService/GetJob", name=job)
            except grpc.RpcError as error:  # the coordinator was killed; another is started
                self.assertIn(error.code(), (grpc.StatusCode.UNAVAILABLE,
                                             grpc.StatusCode.CANCELLED,
                                             grpc.StatusCode.UNKNOWN))
                continue
            if job_now["state"] in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED",
                                    "JOB_STATE_CANCELLED"):
                return job_now

    def run_with_kills(self, victims):
        """Runs the small job; when (round, phase) of `victims` is done, kills a process of that
        name. The finished job."""
        process, address = self.start_cluster("--rollout-workers", "2")
        server = Server(address)
        self.addCleanup(server.close)
        done = self.attune("submit", self.write_job(small_job()), "--coordinator", address)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        job = server.call("attune.v1.JobService/ListJobs")["jobs"][0]["name"]
        left = dict(victims)

        def on_phase(number, phase):
            binary = left.pop((number, phase), None)
            if binary is not None:
                running = self.wait_until(lambda: self.pids(binary), binary)  # again, perhaps
                os.kill(running[0], signal.SIGKILL)

        finished = self.follow(server, job, on_phase)
        self.assertEqual(left, {}, "phases that never came")
        self.assertEqual(finished["state"], "JOB_STATE_SUCCEEDED", finished)
        process.terminate()
        self.assertEqual(process.wait(), 0)
        self.assert_no_process_left()
        return finished

    def assert_same_result(self, finished):
        undisturbed = self.run_job(small_job(), "undisturbed")
        self.assertEqual(finished["pairs_digest"], undisturbed["pairs_digest"])
        self.assertEqual(finished["weights_digest"], undisturbed["weights_digest"])

    def test_coordinator_dies_in_every_phase(self):
        # After phase p is done the next one is in progress.
        victims = {(1, phase): "attune-coordinator" for phase in PHASES}
        self.assert_same_result(self.run_with_kills(victims))

    def test_workers_die(self):
        victims = {(1, "ROUND_PHASE_PROMPTS"): "attune-rollout",
                   (1, "ROUND_PHASE_SAMPLED"): "attune-oracle",
                   (1, "ROUND_PHASE_PAIRED"): "attune-trainer",
                   (1, "ROUND_PHASE_TRAINED"): "attune-rollout"}
        self.assert_same_result(self.run_with_kills(victims))

    def test_killed_run_goes_on_when_repeated(self):
        job = self.write_job(small_job())
        process = self.start("attune", "run", job, "--out", self.path("out"))
        self.read_until(process, "round 1/2  paired")
        process.kill()
        process.wait()
        self.assert_no_process_left()
        self.assert_same_result(self.run_job(small_job(), "out"))


if __name__ == "__main__":
    unittest.main()
