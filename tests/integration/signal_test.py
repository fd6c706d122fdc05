"""Stop signals end everything that was started, in good order."""

import signal
import unittest

from harness import IntegrationTest, small_job


class SignalTest(IntegrationTest):
    def interrupt_run(self, number):
        job = self.write_job(small_job(rounds=50, prompts_per_round=64))
        process = self.start("attune", "run", job, "--out", self.path("out"))
        self.wait_until(lambda: self.pids("attune-trainer"), "a trainer")
        process.send_signal(number)
        self.assertEqual(process.wait(timeout=60), 128 + number)
        self.assert_no_process_left()

    def test_interrupted_run(self):
        self.interrupt_run(signal.SIGINT)

    def test_killed_run_takes_its_processes_along(self):
        job = self.write_job(small_job(rounds=50, prompts_per_round=64))
        process = self.start("attune", "run", job, "--out", self.path("out"))
        self.wait_until(lambda: self.pids("attune-trainer"), "a trainer")
        process.kill()
        process.wait()
        self.assert_no_process_left()

    def test_cluster_stops_in_good_order(self):
        process, _ = self.start_cluster()
        self.wait_until(lambda: self.pids("attune-trainer"), "a trainer")
        process.terminate()
        self.assertEqual(process.wait(timeout=60), 0)
        self.assert_no_process_left()


if __name__ == "__main__":
    unittest.main()
