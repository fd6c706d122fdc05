"""Oracles that are asked over the network: no score comes from an answer that is wrong, and a
service that fails for a while is used again when it answers."""

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import unittest
import urllib.request

from harness import ROOT, IntegrationTest, small_job

POISON = 1e6  # in every wrong answer, so that a score from one of them shows


def reward(response):
    return float(len(response) % 17)


class Stopped(Exception):
    """The connection is to be closed without an answer."""


class RewardServer:
    """POST /get_reward as OpenRLHF has it. `fault(body)` names what goes wrong with a request."""

    def __init__(self):
        self.fault = lambda body: None
        self.injected = {}  # faults by name
        self.served = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    fault = server.fault(body)
                    if fault is None:
                        server.served += 1
                    else:
                        server.injected[fault] = server.injected.get(fault, 0) + 1
                try:
                    server.answer(self, body, fault)
                except (Stopped, BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *arguments):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/get_reward"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def answer(self, handler, body, fault):
        rewards = [reward(query[len(prompt):])
                   for query, prompt in zip(body["query"], body["prompts"])]
        if fault is not None:
            rewards = [POISON] * len(rewards)
        if fault == "hang":
            self.stopping.wait()
        if fault == "hang_up":
            raise Stopped()
        rewards[0] = {"nan": float("nan"), "null": None, "text": "1"}.get(fault, rewards[0])
        rewards += [POISON] if fault == "too_many" else []
        rewards = rewards[1:] if fault == "too_few" else rewards
        content = json.dumps({"rewards": rewards}).encode()
        handler.send_response({"error": 500, "busy": 429}.get(fault, 200))
        if fault == "busy":
            handler.send_header("Retry-After", "0")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:len(content) // 2] if fault == "half" else content)
        if fault == "half":
            raise Stopped()

    def stop(self):
        self.stopping.set()
        self.httpd.shutdown()
        self.httpd.server_close()


# The outcome that attune_oracle_calls_total counts for each fault.
FAULTS = {"error": "refused", "half": "bad_answer", "hang": "timeout", "too_few": "bad_answer",
          "nan": "bad_answer", "busy": "refused", "null": "bad_answer", "too_many": "bad_answer",
          "hang_up": "refused", "text": "bad_answer"}


class OracleHttpTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        self.server = RewardServer()
        self.addCleanup(self.server.stop)
        _, self.coordinator = self.start_cluster()

    def command(self, *arguments):
        done = self.attune(*arguments, "--json", "--coordinator", self.coordinator)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def run_to_the_end(self, oracle, **overrides):
        """Its pairs, of all rounds; no prompt may have been given up."""
        job = small_job(**overrides)
        job["oracle"] = oracle
        name = self.command("submit", self.write_job(job))[0]["name"]
        watched = self.attune("watch", name, "--coordinator", self.coordinator)
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        for record in self.command("rounds", name):
            self.assertEqual(record.get("quarantined", []), [])
        pairs = [pair for number in range(1, job["rounds"] + 1)
                 for pair in self.command("pairs", name, "--round", str(number))]
        self.assertGreater(len(pairs), 0)
        return pairs

    def http_oracle(self, **calls):
        return {"kind": "http", "endpoint": self.server.url, "calls": calls}

    def counted(self, name, **labels):
        """A metric of the oracle process, summed over the series that have the labels."""
        worker = next(worker for worker in self.command("workers")
                      if worker["role"].endswith("ORACLE"))
        with urllib.request.urlopen(f"http://{worker['metrics_address']}/metrics",
                                    timeout=60) as answer:
            page = answer.read().decode()
        return sum(float(value) for series, value in re.findall(
            rf"^attune_oracle_{name}{{([^}}]*)}} (\S+)$", page, re.MULTILINE)
            if all(f'{key}="{label}"' in series for key, label in labels.items()))

    def assert_true_rewards(self, pairs):
        for pair in pairs:
            for side in ("chosen", "rejected"):
                self.assertEqual(pair.get(f"{side}_score", 0),
                                 reward(pair[side].get("text", "")), pair["name"])

    def test_no_score_comes_from_a_wrong_answer(self):
        """Each prompt's first question fails, in another way than that of the prompt before."""
        asked = set()

        def fault(body):
            content = json.dumps(body)
            if content in asked:
                return None
            asked.add(content)
            return list(FAULTS)[(len(asked) - 1) % len(FAULTS)]

        self.server.fault = fault
        pairs = self.run_to_the_end(self.http_oracle(
            max_attempts=20, timeout_seconds=5, breaker_failures=1000))
        self.assert_true_rewards(pairs)
        self.assertEqual(set(self.server.injected), set(FAULTS))
        for outcome in ("refused", "bad_answer", "timeout"):
            self.assertEqual(
                self.counted("calls_total", oracle="http/1", outcome=outcome),
                sum(count for fault, count in self.server.injected.items()
                    if FAULTS[fault] == outcome), outcome)
        self.assertEqual(self.counted("calls_total", oracle="http/1", outcome="ok"),
                         self.server.served)
        self.assertEqual(self.counted("retries_total", oracle="http/1"),
                         sum(self.server.injected.values()))

    def test_a_service_that_was_away_is_used_again(self):
        self.server.fault = lambda body: (
            "error" if self.server.injected.get("error", 0) < 6 else None)
        pairs = self.run_to_the_end(self.http_oracle(
            max_attempts=2, max_concurrency=2, breaker_failures=4, breaker_seconds=0.2))
        self.assert_true_rewards(pairs)
        self.assertEqual(self.server.injected, {"error": 6})
        self.assertGreater(self.counted("breaker_opened_total", oracle="http/1"), 0)
        self.assertGreater(self.counted("calls_total", outcome="breaker_open"), 0)
        self.assertEqual(self.counted("breaker_open", oracle="http/1"), 0)

    def test_the_example_in_python_is_an_oracle(self):
        os.mkdir(self.path("stubs"))
        proto = os.path.join(ROOT, "proto")
        subprocess.run(
            ["protoc", "-I", proto, f"--python_out={self.path('stubs')}",
             f"--grpc_python_out={self.path('stubs')}",
             f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}",
             *(f"{proto}/attune/v1/{name}.proto" for name in ("types", "oracle_spec", "oracle"))],
            check=True)
        service = subprocess.Popen(
            [sys.executable, os.path.join(ROOT, "client/python/oracle_service.py"),
             "--listen", "127.0.0.1:0", "--word", "the"],
            env={**self.environment, "PYTHONPATH": self.path("stubs")}, stdout=subprocess.PIPE,
            text=True)
        self.addCleanup(service.stdout.close)
        self.addCleanup(service.wait)
        self.addCleanup(service.kill)
        address = service.stdout.readline().split()[1]
        pairs = self.run_to_the_end({"kind": "remote", "endpoint": address})
        for pair in pairs:
            self.assertEqual(pair["oracle"], "remote/1")
            self.assertEqual(len(pair["oracle_digest"]), 64)
            for side in ("chosen", "rejected"):
                words = re.findall(r"\w+", pair[side].get("text", "").lower())
                self.assertEqual(pair.get(f"{side}_score", 0), words.count("the"))


if __name__ == "__main__":
    unittest.main()
