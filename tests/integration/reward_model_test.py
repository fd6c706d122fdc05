"""A reward model is trained, is right about unseen pairs, and serves a job as its oracle."""

import json
import os
import random
import unittest

from harness import MODEL, PROMPTS, IntegrationTest, small_job

TRAINED, HELD_OUT = 256, 96


def shuffled_pairs(count):
    """The next words of stories against the same words in another order."""
    draw = random.Random(1)
    pairs = []
    with open(PROMPTS, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            words = row["gold"].split()[:16]
            other = draw.sample(words, len(words))
            if len(words) == 16 and other != words:
                prompt = " ".join(row["prompt"].split()[:24])
                pairs.append({"prompt": prompt, "chosen": " " + " ".join(words),
                              "rejected": " " + " ".join(other)})
    assert len(pairs) >= count, f"{len(pairs)} pairs of {count}"
    return pairs[:count]


class RewardModelTest(IntegrationTest):
    def write_rows(self, name, rows):
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def trained(self, algorithm, rows, learning_rate):
        job = {"name": "rewards", "model": {"path": MODEL}, "dataset": {"path": rows},
               "algorithm": algorithm,
               "training": {"learning_rate": learning_rate, "num_train_epochs": 3,
                            "per_device_train_batch_size": 8},
               "evaluation": {"holdout_prompts": 0}}
        report = self.run_job(job, algorithm)
        self.assertEqual(report["state"], "SUCCEEDED", report)
        return self.path(algorithm, "model")

    def accuracies(self, pairs, **oracles):
        """By name, as `attune judge --evaluate` reports them."""
        arguments = ["judge", "--json", "--evaluate", pairs]
        for name, spec in oracles.items():
            arguments += ["--oracle", self.write(f"{name}.yaml", json.dumps(spec))]
        done = self.attune(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return {oracle["name"]: oracle["splits"][0]["accuracy"]
                for oracle in json.loads(done.stdout)["oracles"]}

    def test_explicit_and_implicit_rewards_know_unseen_pairs_and_one_judges_a_job(self):
        pairs = shuffled_pairs(TRAINED + HELD_OUT)
        rows = self.write_rows("train.jsonl", pairs[:TRAINED])
        held_out = self.write_rows("held_out.jsonl", pairs[TRAINED:])
        explicit = {"kind": "reward_model", "path": self.trained("reward_model", rows, 1e-3)}
        implicit = {"kind": "implicit_reward", "path": self.trained("offline_dpo", rows, 3e-4),
                    "reference_path": MODEL}
        accuracies = self.accuracies(held_out, explicit=explicit, implicit=implicit)
        for name, accuracy in accuracies.items():
            self.assertEqual(accuracy["of"], HELD_OUT, name)
            self.assertGreater(accuracy["low"], 0.5, f"{name}: {accuracy}")
        with open(os.path.join(explicit["path"], "config.json"), encoding="utf-8") as file:
            self.assertIn("SequenceClassification", file.read())
        job = small_job()
        job["oracle"] = explicit
        report = self.run_job(job, "out")
        self.assertEqual(report["state"], "SUCCEEDED", report)
        self.assertEqual(len(report["rounds"]), 2)


if __name__ == "__main__":
    unittest.main()
