"""One job for each kind of machinery behind the objectives: every one succeeds, with the same
result however many workers and trainer ranks there are, and also when a process is killed."""

import json
import os
import signal
import unittest

from harness import PROMPTS, IntegrationTest, small_job
from reflection import Server

FOUR = {"num_generations": 4}
DUEL = {"algorithm": "online_dpo", "pairing": {"strategy": "online"}}
METHODS = {
    "coupled": {"objective": {"loss_type": ["sigmoid", "sft"], "loss_weights": [1, 0.1]}},
    "kto": {"objective": {"loss_type": "kto"}},
    "bco": {"objective": {"loss_type": "bco"}, "training": {"num_train_epochs": 2}},
    "group": {"sampling": FOUR, "pairing": {"strategy": "group", "min_margin": 0},
              "objective": {"loss_type": "adpo", "beta_anchor_kl": 0.1}},
    "vocabulary": {"objective": {"loss_type": "tdpo2", "reference": "initial"}},
    "mixed": {"rounds": 3, "objective": {"reference": "mixed"},
              "pairing": {"replay": [0.3, 0.15]}},
    "replay": {"rounds": 3, "pairing": {"replay": [0.4], "tie_policy": "soft", "min_margin": 0}},
    "teacher": {"pairing": {"strategy": "teacher_wins", "include_gold": True, "min_margin": 0},
                "objective": {"loss_type": "spin"}},
    "tpo": {"pairing": {"include_gold": True, "sources": "student_student"},
            "objective": {"loss_type": ["cpo", "sft_gold"]}},
    "xpo": {**DUEL, "sampling": {"num_generations": 2, "opponent": "initial"},
            "objective": {"loss_type": "xpo"}},
    "nash-md": {**DUEL, "sampling": {"num_generations": 2, "opponent": "mixture"},
                "objective": {"loss_type": "nash_md"}},
    "modpo": {"objective": {"loss_type": "modpo"},
              "auxiliary_oracles": [{"oracle": {"kind": "length"}, "weight": 0.1}]},
    "lora": {"training": {"lora": {"r": 4}, "learning_rate": 1e-3}},
    "ofs-dpo": {"rounds": 3, "objective": {"loss_type": "ofs_dpo"},
                "training": {"lora": {"r": 4}, "learning_rate": 1e-3}},
    "cofs-dpo": {"rounds": 3, "curriculum": {"mixing": "sequential"},
                 "objective": {"loss_type": "ofs_dpo", "domain_memory": 3},
                 "training": {"lora": {"r": 4}, "learning_rate": 1e-3}},
    "ches": {"pairing": {"ches_percentile": 50}},
    "weights": {"objective": {"use_weighting": True, "ld_alpha": 0.5,
                              "f_divergence_type": "js_divergence"}},
}


class MethodsTest(IntegrationTest):
    def job(self, name, overrides):
        job = small_job(name=name, prompts_per_round=12, **overrides)
        if name == "cofs-dpo":
            job["dataset"] = {"path": self.two_domains()}
        if name in ("realign", "mcm-dpo"):
            job["dataset"] = {"path": self.corrupted_prompts()}
        return self.write_job(job, name + ".yaml")

    def two_domains(self):
        """The first half of the rows is of one domain, the other of another."""
        with open(PROMPTS, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][:80]
        for i, row in enumerate(rows):
            row["domain"] = "first" if i < 40 else "second"
        return self.write("domains.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def corrupted_prompts(self):
        """Each prompt with the next one as its corrupted form."""
        with open(PROMPTS, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][:60]
        for row, other in zip(rows, rows[1:] + rows[:1]):
            row["corrupted"] = other["prompt"]
        return self.write("corrupted.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def results(self, methods, *arguments, data):
        """The finished job of every method on one cluster, by name."""
        process, address = self.start_cluster(*arguments, data=data)
        server = Server(address)
        self.addCleanup(server.close)
        for name, overrides in methods.items():
            done = self.attune("submit", self.job(name, overrides), "--coordinator", address)
            self.assertEqual(done.returncode, 0, name + "\n" + done.stdout + done.stderr)

        def finished():
            jobs = server.call("attune.v1.JobService/ListJobs")["jobs"]
            done = [job for job in jobs if job["state"] not in ("JOB_STATE_QUEUED",
                                                                "JOB_STATE_RUNNING")]
            return jobs if len(done) == len(methods) else None

        jobs = self.wait_until(finished, "all jobs")
        process.terminate()
        self.assertEqual(process.wait(), 0)
        for job in jobs:
            self.assertEqual(job["state"], "JOB_STATE_SUCCEEDED", job)
        return {job["spec"]["name"]: (job["pairs_digest"], job["weights_digest"]) for job in jobs}

    def test_results_depend_on_the_job_alone(self):
        methods = {**METHODS, "realign": {"objective": {"loss_type": "realign"}},
                   "mcm-dpo": {"objective": {"loss_type": "mcm_dpo"}}}
        one = self.results(methods, "--rollout-workers", "1", "--trainer-ranks", "1", data="one")
        two = self.results(methods, "--rollout-workers", "2", "--trainer-ranks", "2", data="two")
        self.assertEqual(one, two)
        self.assertEqual(len(set(one.values())), len(methods))
        self.assert_no_process_left()

    def survives_killed_trainers(self, name):
        job = self.job(name, METHODS[name])
        killed = []
        process = self.start("attune", "run", job, "--out", self.path("out"))
        for when in ("round 1/3  paired", "round 2/3  paired", "round 2/3  trained"):
            self.read_until(process, when)
            for pid in self.pids("attune-trainer"):
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        self.read_until(process, "SUCCEEDED")
        self.assertEqual(process.wait(), 0)
        self.assertTrue(killed)
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            disturbed = json.load(file)
        done = self.attune("run", job, "--out", self.path("calm"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("calm", "report.json"), encoding="utf-8") as file:
            calm = json.load(file)
        self.assertEqual(disturbed["weights_digest"], calm["weights_digest"])

    def test_a_mixed_reference_survives_a_killed_trainer(self):
        self.survives_killed_trainers("mixed")

    def test_adapters_of_several_domains_survive_a_killed_trainer(self):
        self.survives_killed_trainers("cofs-dpo")


if __name__ == "__main__":
    unittest.main()
