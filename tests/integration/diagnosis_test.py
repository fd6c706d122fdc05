"""What a job tells of its rounds: they are compared with each other, and alarms are raised where
something is wrong and nowhere else."""

import json
import unittest

from harness import IntegrationTest, small_job

# Long enough for means that chance does not move, short enough for a test.
HEALTHY = {"rounds": 3, "prompts_per_round": 64, "seed": 42,
           "sampling": {"num_generations": 4, "temperature": 1.0, "max_new_tokens": 40},
           "pairing": {"min_margin": 1.0},
           "training": {"learning_rate": 2e-5, "per_device_train_batch_size": 8},
           "evaluation": {"holdout_prompts": 32}}
# Nearly every story has an "a" and nearly none a "b.": of two alike responses a letter decides, and
# steps that are far too long take the likelihood of both away.
DISPLACED = {"rounds": 1, "prompts_per_round": 48, "seed": 42,
             "sampling": {"num_generations": 4, "temperature": 0.3, "max_new_tokens": 40},
             "oracle": {"kind": "regex", "path": "", "pattern": "a"},
             "pairing": {"min_margin": 1.0, "max_pairs_per_prompt": 4},
             "training": {"learning_rate": 2e-3, "per_device_train_batch_size": 8},
             "evaluation": {"holdout_prompts": 16}}
# One round of such steps leaves no language to speak of.
RUINED = {"rounds": 3, "prompts_per_round": 32, "seed": 7,
          "sampling": {"num_generations": 4, "max_new_tokens": 40},
          "oracle": {"kind": "regex", "path": "", "pattern": r"\b(the|was|and|to|a|he|she)\b"},
          "pairing": {"min_margin": 0},
          "training": {"learning_rate": 5e-2, "per_device_train_batch_size": 4},
          "evaluation": {"holdout_prompts": 32, "gate": "stop"}}


def alarms(report):
    return [(entry["round"], alarm["kind"]) for entry in report["rounds"]
            for alarm in entry["alarms"]]


class DiagnosisTest(IntegrationTest):
    def test_a_healthy_job_compares_its_rounds_and_raises_no_alarm(self):
        report = self.run_job(small_job(**HEALTHY), "out")
        matrix = report["head_to_head"]
        self.assertEqual(matrix["rounds"], [0, 1, 2, 3])
        for name, opposite in (("win_rate", "win_rate"), ("win_rate_low", "win_rate_high"),
                               ("length_controlled_win_rate", "length_controlled_win_rate")):
            for i in range(4):
                for j in range(4):
                    self.assertAlmostEqual(matrix[name][i][j] + matrix[opposite][j][i], 1, 12)
        for entry in report["rounds"]:
            self.assertAlmostEqual(entry["win_rate"], matrix["win_rate"][entry["round"]][0], 12)
        self.assertIn(report["best_round"], [1, 2, 3])
        self.assertEqual(alarms(report), [])

    def test_displacement_raises_its_alarm(self):
        job = self.write_job(small_job(**DISPLACED))
        done = self.attune("run", job, "--out", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertIn((1, "displacement"), alarms(report))
        self.assertIn("ALARM     displacement: ", done.stdout)

    def test_a_gate_stops_a_job_whose_policy_is_worse_than_the_initial_one(self):
        done = self.attune("run", self.write_job(small_job(**RUINED)), "--out", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("the gate stopped the job after round 1", done.stdout)
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["state"], "SUCCEEDED")
        self.assertEqual(report["best_round"], 0)
        self.assertEqual([entry["round"] for entry in report["rounds"]], [1])
        self.assertIn((1, "regression"), alarms(report))


if __name__ == "__main__":
    unittest.main()
