"""Runs the commands of README.md: every sh block after the line <!-- tested -->, in order, in a
copy of what they use. The jobs are made smaller; the commands are taken as they stand."""

import json
import os
import re
import shutil
import subprocess
import unittest

from harness import BIN_DIR, PATIENCE_SECONDS, ROOT, IntegrationTest

SMALLER = {"prompts_per_round": "12", "max_new_tokens": "24",
           "holdout_prompts": "4"}


def tested_blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(r"^<!-- tested -->\n```sh\n(.*?)^```", file.read(),
                          re.DOTALL | re.MULTILINE)


class ReadmeTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("build/release"))
        os.symlink(BIN_DIR, self.path("build/release/bin"))
        for folder in ("models", "recipes", "scripts"):
            shutil.copytree(os.path.join(ROOT, folder), self.path(folder))
        for name in os.listdir(self.path("recipes")):
            if name.endswith(".yaml"):
                self.make_smaller(self.path("recipes", name))
        # The binaries are there: building is what this very test run began with.
        self.write("stubs/cmake", "#!/bin/sh\n")
        os.chmod(self.path("stubs/cmake"), 0o755)
        self.environment["PATH"] = (self.path("stubs") + os.pathsep + self.environment["PATH"])

    def make_smaller(self, job):
        with open(job, encoding="utf-8") as file:
            text = file.read()
        rounds = 2 if "mixing: sequential" in text else 1  # one for each domain
        for key, value in {"rounds": rounds, **SMALLER}.items():
            text = re.sub(rf"\b{key}: \d+", f"{key}: {value}", text)
        if "prompts_per_round" not in text:  # offline jobs take the whole dataset
            text += f"\nprompts_per_round: {SMALLER['prompts_per_round']}\n"
        with open(job, "w", encoding="utf-8") as file:
            file.write(text)

    def test_commands(self):
        blocks = tested_blocks()
        self.assertGreater(len(blocks), 0)
        for block in blocks:
            done = subprocess.run(["bash", "-euxo", "pipefail", "-c", block], cwd=self.directory,
                                  env=self.environment, stdin=subprocess.DEVNULL, text=True,
                                  capture_output=True, timeout=PATIENCE_SECONDS, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(os.path.exists(self.path("build/quickstart/report.json")))
        self.assertTrue(os.path.exists(self.path("build/quickstart/model/model.safetensors")))

    def test_every_recipe_runs(self):
        """As jobs of one cluster; quickstart.yaml is run above."""
        _, address = self.start_cluster()
        jobs = {}
        for name in sorted(os.listdir(self.path("recipes"))):
            if name.endswith(".yaml") and name != "quickstart.yaml":
                done = self.attune("submit", self.path("recipes", name), "--coordinator", address,
                                   "--json")
                self.assertEqual(done.returncode, 0, name + done.stdout + done.stderr)
                jobs[name] = json.loads(done.stdout)["name"]
        for name, job in jobs.items():
            done = self.attune("watch", job, "--coordinator", address)
            self.assertEqual(done.returncode, 0, name + done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
