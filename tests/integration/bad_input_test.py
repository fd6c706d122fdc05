"""Wrong input is refused whole: every problem in one reply, exit code 2, nothing left behind."""

import os
import shutil
import unittest

from harness import MODEL, IntegrationTest, small_job


class BadInputTest(IntegrationTest):
    def assert_refused(self, job, *fragments):
        """`job` is a dict, or the text of the job file."""
        if isinstance(job, str):
            path = self.write("job.yaml", job)
        else:
            path = self.write_job(job)
        done = self.attune("run", path, "--out", self.path("out"))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for fragment in fragments:
            self.assertIn(fragment, done.stdout + done.stderr)
        self.assertFalse(os.path.exists(self.path("out")), "something was left behind")
        self.assert_no_process_left()

    def test_all_problems_at_once(self):
        job = small_job(rounds=-1, epochs=3,
                        model={"path": self.path("no-model")},
                        training={"learning_rate": "fast", "warmup_ratio": 1.5},
                        oracle={"path": self.path("no-lexicon.tsv")})
        self.assert_refused(job, "epochs", "rounds", "-1", "training.learning_rate", "fast",
                            "training.warmup_ratio", "1.5", "model.path", "no-model",
                            "oracle.path", "no-lexicon.tsv")

    def test_mistyped_key_gets_a_suggestion(self):
        job = small_job()
        job["sampling"]["num_generation"] = job["sampling"].pop("num_generations")
        self.assert_refused(job, "sampling.num_generation", "num_generations")

    def test_yaml_syntax(self):
        self.assert_refused("name: x\nmodel: {path: \n", "line")

    def test_missing_job_file(self):
        done = self.attune("run", self.path("absent.yaml"), "--out", self.path("out"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("absent.yaml", done.stderr)

    def test_bad_line_of_the_dataset_is_named(self):
        lines = ['{"prompt": "one"}', '{"prompt": "two"}', '{"prompt": 3}', '{"prompt": "four"}']
        dataset = self.write("prompts.jsonl", "\n".join(lines))
        self.assert_refused(small_job(dataset={"path": dataset}), "dataset.path", "line 3")

    def test_empty_dataset(self):
        dataset = self.write("empty.jsonl", "\n")
        self.assert_refused(small_job(dataset={"path": dataset}), "dataset.path", "empty.jsonl")

    def test_corrupt_weights(self):
        model = self.path("model")
        shutil.copytree(MODEL, model)
        weights = os.path.join(model, "model.safetensors")
        with open(weights, "r+b") as file:
            file.truncate(os.path.getsize(weights) // 2)
        self.assert_refused(small_job(model={"path": model}), "model.path", "model.safetensors")

    def test_model_of_another_kind(self):
        model = self.path("model")
        shutil.copytree(MODEL, model)
        with open(os.path.join(model, "config.json"), "r+", encoding="utf-8") as file:
            text = file.read().replace('"llama"', '"mamba"')
            file.seek(0)
            file.write(text)
        self.assert_refused(small_job(model={"path": model}), "model.path", "mamba")

    def test_bad_flags(self):
        for arguments in (["run"], ["no-such-command"], ["run", "job.yaml", "--no-such-flag"]):
            self.assertEqual(self.attune(*arguments).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
