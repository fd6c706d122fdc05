#!/usr/bin/env python3
"""golden_check fails where it should: run with its path and a directory of recorded numbers."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

BINARY, DATA = sys.argv[1], sys.argv[2]


def check(*directories):
    run = subprocess.run([BINARY, *directories], capture_output=True, text=True, timeout=120)
    return run.returncode, run.stdout.splitlines()


class GoldenCheckTest(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)

    def copy(self, *names):
        for name in names:
            shutil.copy(os.path.join(DATA, name), self.directory)

    def edit(self, name, change):
        path = os.path.join(self.directory, name)
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        change(content)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)

    def test_passes_what_was_recorded(self):
        self.copy("common_seq_batch.json", "spin_official.json")
        status, lines = check(self.directory)
        self.assertEqual(status, 0)
        self.assertTrue(lines[0].startswith("spin_official.json case 0 ["), lines)
        self.assertTrue(lines[0].endswith("]: ok"), lines)
        self.assertEqual(lines[-2:], ["0 known differences", "1 passed, 0 failed"])

    def test_names_a_corrupted_value(self):
        self.copy("common_seq_batch.json", "spin_official.json")

        def corrupt(content):
            content["cases"][0]["outputs"]["grad_of_sum"]["policy_chosen_logps"][3] *= 1 + 1e-8

        self.edit("spin_official.json", corrupt)
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertIn("FAILED: grad_of_sum.policy_chosen_logps[3]: wanted ", lines[0])
        self.assertEqual(lines[-1], "0 passed, 1 failed")

    def test_fails_an_output_that_is_not_computed(self):
        self.copy("common_seq_batch.json", "spin_official.json")
        self.edit("spin_official.json", lambda c: c["cases"][0]["outputs"].update(entropy=1.0))
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertIn("entropy: wanted 1, got not computed", lines[0])

    def test_fails_an_unknown_method(self):
        self.copy("spin_official.json", "common_seq_batch.json")
        self.edit("spin_official.json", lambda c: c.update(method="spinning"))
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertIn("no mapping of method spinning", lines[0])
        self.assertEqual(lines[-1], "0 passed, 1 failed")

    def test_fails_an_unknown_loss_type(self):
        self.copy("common_seq_batch.json", "spin_official.json")
        self.edit("spin_official.json", lambda c: c["cases"][0]["hparams"].update(loss_type="x"))
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertIn('no mapping of spin_official for loss_type "x"', lines[0])

    def test_fails_inputs_of_the_wrong_shape(self):
        self.copy("common_seq_batch.json", "spin_official.json")
        self.edit("common_seq_batch.json", lambda c: c["policy_chosen_logps"].pop())
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "0 passed, 1 failed")

    def test_fails_a_file_that_is_no_json(self):
        with open(os.path.join(self.directory, "broken.json"), "w", encoding="utf-8") as file:
            file.write("{")
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertIn("broken.json is not a JSON object", lines[0])

    def test_fails_a_directory_without_cases(self):
        status, lines = check(self.directory)
        self.assertEqual(status, 1)
        self.assertEqual(lines[-1], "0 passed, 0 failed")

    def test_counts_known_differences(self):
        self.copy("common_seq_batch.json", "dpop_rdpo_sampo.json")
        status, lines = check(self.directory)
        self.assertEqual(status, 0)
        self.assertTrue(any(line.startswith("known difference: dpop_rdpo_sampo.json case 0")
                            for line in lines), lines)
        self.assertEqual(lines[-2], "1 known differences")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
