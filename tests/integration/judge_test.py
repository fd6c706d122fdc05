"""attune judge and attune evaluate: oracles and models without a server, and rounds of a job."""

import glob
import json
import os
import subprocess
import unittest

from harness import (BIN_DIR, LEXICON, MODEL, PATIENCE_SECONDS, PROMPTS, ROOT, IntegrationTest,
                     small_job)

ORACLES = os.path.join(ROOT, "recipes/oracles")
PAIRS = os.path.join(ROOT, "tests/data/preferences/gsm8k_correct_vs_wrong_pairs.jsonl")


class JudgeTest(IntegrationTest):
    def judge(self, lines, *arguments):
        return subprocess.run([os.path.join(BIN_DIR, "attune"), "judge", *arguments],
                              cwd=self.directory, env=self.environment, input=lines, text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS, check=False)

    def oracle(self, name, spec):
        return self.write(name, json.dumps(spec))  # JSON is YAML

    def test_verdicts_failures_and_bad_lines(self):
        numeric = self.oracle("numeric.yaml", {"kind": "numeric"})
        good = json.dumps({"prompt": "2+2?", "responses": ["It is 4.", "5"], "gold": "#### 4"})
        done = self.judge(good, "--oracle", numeric, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["scores"], [1, 0])
        done = self.judge(json.dumps({"prompt": "2+2?", "responses": ["4"]}), "--oracle", numeric)
        self.assertEqual(done.returncode, 1)
        self.assertIn("failure", json.loads(done.stdout))
        done = self.judge(good + "\n{}\n", "--oracle", numeric)
        self.assertEqual(done.returncode, 2)
        self.assertIn("line 2", done.stderr)
        self.assertEqual(done.stdout, "")
        bad = self.oracle("bad.yaml", {"kind": "length", "target_lenght": 3})
        done = self.judge(good, "--oracle", bad)
        self.assertEqual(done.returncode, 2)
        self.assertIn("target_length", done.stderr)

    def test_accuracy_and_calibration_of_files(self):
        length = self.oracle("length.yaml", {"kind": "length"})
        digits = self.oracle("digits.yaml", {"kind": "regex", "pattern": "[0-9]"})
        done = self.judge("", "--evaluate", PAIRS, "--oracle", length, "--oracle", digits,
                          "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([oracle["name"] for oracle in report["oracles"]], ["length", "digits"])
        self.assertGreater(report["oracles"][0]["splits"][0]["pairs"], 0)
        done = self.judge("", "--calibrate", PAIRS, "--oracle", length, "--cost-per-call", "0.01")
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("same answer in both orders", "label_smoothing", "cost"):
            self.assertIn(words, done.stdout)

    def test_every_example_oracle(self):
        """Those that need no service outside judge what the documentation gives them."""
        files = sorted(glob.glob(os.path.join(ORACLES, "*.yaml")))
        self.assertGreater(len(files), 8)
        with open(os.path.join(ORACLES, "responses.jsonl"), encoding="utf-8") as file:
            lines = file.read()
        with open(os.path.join(ROOT, "docs/oracles.md"), encoding="utf-8") as file:
            documentation = file.read()
        for path in files:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            self.assertIn(os.path.basename(path), documentation)
            if "endpoint:" in text or "build/" in text:  # a service, a model of a job
                continue
            done = self.judge(lines, "--oracle", path)
            self.assertEqual(done.returncode, 0, path + done.stdout + done.stderr)
            for line in done.stdout.splitlines():
                self.assertEqual(len(json.loads(line)["scores"]), 2, path)

    def test_models_play_each_other(self):
        oracle = self.oracle("lexicon.yaml", {"kind": "lexicon", "path": LEXICON})
        arguments = ["evaluate", "--model", "a=" + MODEL, "--model", "b=" + MODEL,
                     "--oracle", oracle, "--prompts", PROMPTS, "--num-prompts", "8",
                     "--max-new-tokens", "16"]
        first = self.attune(*arguments, "--json")
        self.assertEqual(first.returncode, 0, first.stderr)
        report = json.loads(first.stdout)
        self.assertEqual(report["prompts"], 8)
        self.assertEqual(report["models"][1]["win_rate"]["rate"], 0.5)
        self.assertEqual(first.stdout, self.attune(*arguments, "--json").stdout)
        self.assertIn("BEATS a", self.attune(*arguments).stdout)
        self.assertEqual(self.attune(*arguments[:3], *arguments[5:]).returncode, 2)

    def test_the_rounds_of_a_job_play_each_other(self):
        oracle = self.oracle("lexicon.yaml", {"kind": "lexicon", "path": LEXICON})
        _, address = self.start_cluster()
        done = self.attune("submit", self.write_job(small_job()), "--coordinator", address,
                           "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        job = json.loads(done.stdout)["name"]
        done = self.attune("watch", job, "--coordinator", address)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = self.attune("evaluate", "--job", job, "--coordinator", address,
                           "--oracle", oracle, "--prompts", PROMPTS, "--num-prompts", "8",
                           "--max-new-tokens", "16", "--json")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        models = json.loads(done.stdout)["models"]
        self.assertEqual([model["name"] for model in models], ["round-0", "round-1", "round-2"])
        self.assertEqual(models[0]["kl"], 0)
        self.assertNotEqual(models[2]["kl"], 0)
        done = self.attune("evaluate", "--job", "absent", "--coordinator", address,
                           "--oracle", oracle, "--prompts", PROMPTS)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("absent", done.stderr)


if __name__ == "__main__":
    unittest.main()
