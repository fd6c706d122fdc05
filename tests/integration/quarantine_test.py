"""Judgements that fail: no score, no pair, and another chance when somebody asks for it."""

import http.server
import json
import threading
import unittest
import urllib.request

from harness import IntegrationTest, small_job


class RewardServer:
    """A reward server in OpenRLHF's shape that fails for prompts of which `fails` says so."""

    def __init__(self):
        self.fails = lambda prompt: False
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                broken = any(server.fails(prompt) for prompt in body["prompts"])
                rewards = [float(len(query) % 17) for query in body["query"]]
                answer = json.dumps({"rewards": rewards}).encode()
                self.send_response(500 if broken else 200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def address(self):
        return f"http://127.0.0.1:{self.httpd.server_address[1]}/get_reward"

    def stop(self):
        self.httpd.shutdown()
        self.httpd.server_close()


class QuarantineTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        self.server = RewardServer()
        self.addCleanup(self.server.stop)

    def job(self, **overrides):
        job = small_job(evaluation={"holdout_prompts": 0}, **overrides)
        job["oracle"] = {"kind": "http", "endpoint": self.server.address(),
                         "calls": {"max_attempts": 1, "breaker_failures": 1000}}
        return job

    def rounds(self, name, coordinator):
        done = self.attune("rounds", name, "--json", "--coordinator", coordinator)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_no_pair_comes_from_a_failed_judgement_and_the_prompt_can_be_retried(self):
        cluster, coordinator = self.start_cluster()
        seen = []

        def fails(prompt):
            if prompt not in seen:
                seen.append(prompt)
            return seen.index(prompt) == 3

        self.server.fails = fails
        job = self.write_job(self.job(prompts_per_round=24, rounds=3))
        submitted = self.attune("submit", job, "--json", "--coordinator", coordinator)
        self.assertEqual(submitted.returncode, 0, submitted.stderr)
        name = json.loads(submitted.stdout)["name"]

        def quarantined():
            return [round for round in self.rounds(name, coordinator) if round.get("quarantined")]

        first = self.wait_until(quarantined, "a quarantined prompt")[0]
        bad = first["quarantined"][0]["prompt_index"]
        self.assertIn("500", first["quarantined"][0]["failure"])
        self.server.fails = lambda prompt: False
        retried = self.attune("retry", name, "--coordinator", coordinator)
        self.assertEqual(retried.returncode, 0, retried.stderr)
        self.assertIn("1 quarantined prompts will be drawn again", retried.stdout)
        watched = self.attune("watch", name, "--coordinator", coordinator)
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        rounds = self.rounds(name, coordinator)
        later = [round for round in rounds[1:] if bad in round["prompt_indices"]]
        self.assertEqual(len(later), 1)
        self.assertEqual(len(later[0]["prompt_indices"]), 25)
        self.assertEqual(later[0].get("quarantined", []), [])
        pairs = self.attune("pairs", name, "--round", "1", "--json", "--coordinator", coordinator)
        with urllib.request.urlopen(cluster.metrics, timeout=60) as page:
            self.assertIn("\nattune_quarantined_prompts_total 1\n", page.read().decode())
        self.assertNotIn(bad, [json.loads(line)["prompt_index"]
                               for line in pairs.stdout.splitlines()])


if __name__ == "__main__":
    unittest.main()
