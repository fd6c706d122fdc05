"""Jobs on responses that the dataset brings, in every shape, with and without samples."""

import json
import os
import re
import shutil
import unittest

from harness import LEXICON, MODEL, ROOT, IntegrationTest, small_job

DATA = os.path.join(ROOT, "tests/data/preferences")
TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ message.content ~ ' ' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'So' }}{% endif %}")


def examples():
    """The rows of the table of responses in docs/data_format.md."""
    with open(os.path.join(ROOT, "docs/data_format.md"), encoding="utf-8") as file:
        section = file.read().split("### Responses\n")[1].split("\n## ")[0]
    rows = [re.search(r"`({.*?})`(?= \||; or|: the prompt|; a pair)", line)
            for line in section.splitlines() if line.startswith("| ")]
    return [json.loads(row.group(1)) for row in rows if row]


def is_labelled(row):
    return "label" in row


class OfflineTest(IntegrationTest):
    def rows(self, rows, name="rows.jsonl"):
        return self.write(name, "".join(json.dumps(row) + "\n" for row in rows))

    def job(self, dataset, **overrides):
        job = {"model": {"path": MODEL}, "dataset": {"path": dataset}, "algorithm": "offline_dpo",
               "training": {"learning_rate": 1e-4, "per_device_train_batch_size": 4},
               "evaluation": {"holdout_prompts": 2}}
        return {**job, **overrides}

    def chat_model(self):
        model = self.path("model")
        if not os.path.exists(model):
            shutil.copytree(MODEL, model)
            self.write("model/chat_template.jinja", TEMPLATE)
        return {"path": model}

    def succeeded(self, report):
        self.assertEqual(report["state"], "SUCCEEDED", report)
        self.assertEqual(len(report["rounds"]), 1)
        return report["rounds"][0]

    def test_pairs_are_trained_on_with_one_result(self):
        """Whatever the number of workers; nothing is sampled."""
        job = self.job(os.path.join(DATA, "gsm8k_correct_vs_wrong_pairs.jsonl"))
        one = self.run_job(job, "one", "--rollout-workers", "1")
        two = self.run_job(job, "two", "--rollout-workers", "2", "--trainer-ranks", "2")
        self.succeeded(one)
        self.assertEqual(one["weights_digest"], two["weights_digest"])
        self.assertEqual(one["pairs_digest"], two["pairs_digest"])

    def test_real_chats_are_trained_on(self):
        dataset = os.path.join(DATA, "llamafactory_dpo_en_demo.jsonl")
        self.succeeded(self.run_job(self.job(dataset, model=self.chat_model()), "out"))

    def test_every_shape_of_the_documentation(self):
        rows = [row for row in examples() if not is_labelled(row)]
        self.assertGreaterEqual(len(rows), 14)
        whole = self.write("rows.json", json.dumps(rows, indent=1))  # one list
        self.succeeded(self.run_job(self.job(whole, model=self.chat_model()), "out"))

    def test_good_and_bad_responses_are_not_paired(self):
        rows = [row for row in examples() if is_labelled(row)]
        self.assertEqual(len(rows), 2)
        with open(os.path.join(DATA, "llamafactory_kto_en_demo.jsonl"), encoding="utf-8") as file:
            rows += [json.loads(line) for line in file]
        job = self.job(self.rows(rows), model=self.chat_model())
        done = self.attune("run", self.write_job(job), "--out", self.path("out"))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("use pairing.strategy: unpaired", done.stdout + done.stderr)
        job.update(pairing={"strategy": "unpaired"}, objective={"loss_type": "kto"})
        self.succeeded(self.run_job(job, "out"))

    def test_candidates_beside_samples(self):
        rows = [{"prompt": f"Story {i}. Once upon a time", "chosen": " there was a happy dog.",
                 "rejected": " there was a sad cat."} for i in range(10)]
        job = self.job(self.rows(rows), sampling={"num_generations": 2, "max_new_tokens": 8},
                       oracle={"kind": "lexicon", "path": LEXICON})
        report = self.run_job(job, "out")
        self.succeeded(report)

    def test_long_responses_are_cut_and_counted(self):
        rows = [{"prompt": f"Number {i}:", "chosen": " one two" * (400 if i == 0 else 1),
                 "rejected": " three"} for i in range(8)]
        job = self.job(self.rows(rows), evaluation={"holdout_prompts": 0})
        done = self.attune("run", self.write_job(job), "--out", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("out/cluster/logs/coordinator.log"), encoding="utf-8") as log:
            self.assertRegex(log.read(), r"WARN .*1 responses of the dataset are longer than the "
                                         r"model's context")

    def test_bad_rows_are_named(self):
        rows = [{"prompt": "p", "chosen": "a", "rejected": "b"}] * 4
        rows[1] = {"prompt": "p", "chosen": "a"}
        rows[3] = {"prompt": "p", "completion": "c", "label": "good"}
        done = self.attune("run", self.write_job(self.job(self.rows(rows))), "--out",
                           self.path("out"))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        for fragment in ("dataset.path", 'line 2: has "chosen" but no "rejected"',
                         'line 4: "label" must be true or false', "(2 bad lines of 4)"):
            self.assertIn(fragment, done.stdout + done.stderr)

    def test_the_dataset_cannot_judge_samples(self):
        job = small_job(oracle={"kind": "dataset"})
        del job["oracle"]["path"]
        done = self.attune("run", self.write_job(job), "--out", self.path("out"))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("oracle.kind", done.stdout + done.stderr)
        self.assertIn("sampling.num_generations is 3; must be 0", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
