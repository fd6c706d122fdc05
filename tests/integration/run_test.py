"""`attune run`: what comes out, and that it depends on the job file alone."""

import json
import os
import struct
import unittest

from harness import MODEL, IntegrationTest, small_job
from reflection import Server

ROUND_KEYS = {"round", "win_rate", "win_rate_low", "win_rate_high", "mean_score", "kl",
              "mean_length", "distinct_2", "pairs", "seconds"}


def read_json(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return json.load(file)


def safetensors_header(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))


class RunTest(IntegrationTest):
    def test_report_and_model(self):
        report = self.run_job(small_job(), "out")
        self.assertEqual(report["state"], "SUCCEEDED")
        self.assertTrue(report["job"].startswith("jobs/"), report)
        self.assertEqual([entry["round"] for entry in report["rounds"]], [1, 2])
        for entry in report["rounds"]:
            self.assertLessEqual(ROUND_KEYS, set(entry))
            self.assertGreater(entry["pairs"], 0)
            self.assertLessEqual(entry["win_rate_low"], entry["win_rate"])
            self.assertLessEqual(entry["win_rate"], entry["win_rate_high"])
            self.assertTrue(0 < entry["mean_length"] <= 24, entry)
            self.assertTrue(0 < entry["distinct_2"] <= 1, entry)
        self.assertLessEqual({"mean_score", "mean_length", "distinct_2"}, set(report["initial"]))
        for digest in ("pairs_digest", "weights_digest"):
            self.assertRegex(report[digest], "^[0-9a-f]{64}$")
        self.assert_hugging_face_directory(self.path("out", "model"))
        self.assert_no_process_left()

    def assert_hugging_face_directory(self, model):
        config = read_json(model, "config.json")
        self.assertEqual(config["model_type"], "llama")
        self.assertEqual(config["torch_dtype"], "float32")
        self.assertEqual(read_json(model, "tokenizer.json"), read_json(MODEL, "tokenizer.json"))
        shipped = safetensors_header(os.path.join(MODEL, "model.safetensors"))
        trained = safetensors_header(os.path.join(model, "model.safetensors"))
        shapes = {name: entry["shape"] for name, entry in shipped.items() if "shape" in entry}
        self.assertEqual({name: entry["shape"] for name, entry in trained.items()
                          if "shape" in entry}, shapes)
        with open(os.path.join(model, "model.safetensors"), "rb") as file:
            trained_bytes = file.read()
        with open(os.path.join(MODEL, "model.safetensors"), "rb") as file:
            self.assertNotEqual(trained_bytes, file.read())

    def test_trained_model_generates_and_scores(self):
        self.run_job(small_job(rounds=1), "out")
        done = self.attune("generate", "--model", self.path("out", "model"), "--prompt",
                           "Once upon a time", "--max-new-tokens", "8", "--temperature", "0",
                           "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout.splitlines()[0])
        self.assertEqual(len(answer["ids"]), 8)
        self.assertTrue(all(logp <= 0 for logp in answer["logps"]))

    def test_result_does_not_depend_on_the_number_of_rollout_workers(self):
        one = self.run_job(small_job(), "one", "--rollout-workers", "1")
        two = self.run_job(small_job(), "two", "--rollout-workers", "2")
        self.assertEqual(one["pairs_digest"], two["pairs_digest"])
        self.assertEqual(one["weights_digest"], two["weights_digest"])

    def test_bf16_is_another_result_on_which_the_workers_agree(self):
        job = small_job(training={"precision": "bf16"})
        one = self.run_job(job, "one", "--rollout-workers", "1")
        two = self.run_job(job, "two", "--rollout-workers", "2")
        self.assertEqual(one["pairs_digest"], two["pairs_digest"])
        self.assertEqual(one["weights_digest"], two["weights_digest"])
        exact = self.run_job(small_job(rounds=1), "exact")
        self.assertNotEqual(one["pairs_digest"], exact["pairs_digest"])
        self.assertEqual(read_json(self.path("one", "model"), "config.json")["torch_dtype"],
                         "float32")

    def test_another_seed_is_another_result(self):
        one = self.run_job(small_job(rounds=1), "one")
        two = self.run_job(small_job(rounds=1, seed=8), "two")
        self.assertNotEqual(one["pairs_digest"], two["pairs_digest"])

    def outcome(self, ranks, **overrides):
        """Metrics of every update, and the digests, on a cluster with that many trainer ranks."""
        process, address = self.start_cluster("--trainer-ranks", str(ranks),
                                              data=f"data-{ranks}")
        job = self.write_job(small_job(**overrides))
        done = self.attune("submit", job, "--watch", "--coordinator", address)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        server = Server(address)
        self.addCleanup(server.close)
        job = server.call("attune.v1.JobService/ListJobs")["jobs"][0]
        digests = (job["pairs_digest"], job["weights_digest"])
        rounds = server.call("attune.v1.JobService/ListRounds", parent=job["name"])["rounds"]
        process.terminate()
        self.assertEqual(process.wait(), 0)
        steps = [step["values"] for record in rounds for step in record.get("steps", [])]
        return steps, digests

    def test_the_number_of_trainer_ranks_does_not_matter(self):
        one, one_digests = self.outcome(1)
        two, two_digests = self.outcome(2)
        self.assertGreater(len(one), 3)
        self.assertEqual(len(one), len(two))
        for first, second in zip(one, two):
            self.assertAlmostEqual(first["loss"], second["loss"], delta=1e-5)
        self.assertEqual(one_digests, two_digests)
        self.assert_no_process_left()

    def test_sampler_and_trainer_give_the_same_log_probabilities(self):
        for ranks, precision in ((1, "fp32"), (2, "bf16")):
            steps, _ = self.outcome(ranks, training={"precision": precision})
            name = "sampling/sampling_logp_difference/max"
            gaps = [step[name] for step in steps if name in step]
            self.assertEqual(gaps, [0, 0], precision)  # the first update of each round


if __name__ == "__main__":
    unittest.main()
