"""A rollout worker whose responses a server outside samples: what it reports is compared with what
the policy says, what is recorded is the policy's, and a wrong answer is never a response."""

import http.server
import json
import os
import subprocess
import threading
import unittest

from harness import BIN_DIR, MODEL, PATIENCE_SECONDS, PROMPTS, IntegrationTest, small_job

KEY = "a-secret-of-this-test"
OFF = 0.25  # nats that the server says less than its model
EOS = 2


class CompletionServer:
    """/v1/completions as vLLM has it: the model's own responses to some prompt, chosen by the seed
    of the request, and their log-probabilities after the prompt that was asked, off by OFF."""

    def __init__(self, environment, responses):
        self.responses = responses
        self.model = subprocess.Popen(
            [os.path.join(BIN_DIR, "attune"), "logprobs", "--model", MODEL], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lock = threading.Lock()  # one question to the model at a time
        self.entry = {"id": "stories", "object": "model"}
        self.requests = []
        self.wrong = 0  # answers to come with a token that the model does not have
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.answer({"object": "list", "data": [server.entry]}, "/v1/models")

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server.lock:
                    server.requests.append(body)
                    self.answer(server.complete(body), "/v1/completions")

            def answer(self, answer, path):
                known = (self.path == path and self.headers["Authorization"] == f"Bearer {KEY}")
                content = json.dumps(answer if known else {"error": "not for you"}).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def complete(self, body):
        ids = self.responses[body["seed"] % len(self.responses)][:body["max_tokens"]]
        if self.wrong > 0:
            self.wrong -= 1
            ids = [100000] + ids[1:]
            logps = [0.0] * len(ids)
        else:
            self.model.stdin.write(json.dumps({"prompt_ids": body["prompt"],
                                               "completion_ids": ids}) + "\n")
            logps = [logp - OFF for logp in json.loads(self.model.stdout.readline())["logps"]]
        choice = {"index": 0, "text": "", "finish_reason": "stop" if ids[-1] == EOS else "length",
                  "token_ids": ids, "prompt_token_ids": body["prompt"],
                  "logprobs": {"token_logprobs": logps,
                               "tokens": [f"token_id:{token}" for token in ids]}}
        return {"object": "text_completion", "model": body["model"], "choices": [choice],
                "usage": {"prompt_tokens": len(body["prompt"]), "completion_tokens": len(ids)}}

    def stop(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        self.model.stdin.close()
        self.model.wait(PATIENCE_SECONDS)
        self.model.stdout.close()


class EndpointSamplerTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        self.server = CompletionServer(self.environment, self.some_responses())
        self.addCleanup(self.server.stop)
        self.environment.update(ATTUNE_ENDPOINT=self.server.url + "/v1",
                                ATTUNE_ENDPOINT_MODEL="stories", ATTUNE_ENDPOINT_API_KEY=KEY)

    def some_responses(self):
        with open(PROMPTS, encoding="utf-8") as file:
            lines = [next(file) for _ in range(8)]
        done = self.attune("generate", "--model", MODEL, "--prompts",
                           self.write("some.jsonl", "".join(lines)), "--num-generations", "4",
                           "--max-new-tokens", "24", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        responses = [json.loads(line)["ids"] for line in done.stdout.splitlines()]
        self.assertEqual(len(responses), 32)
        return responses

    def lines(self, coordinator, *arguments):
        done = self.attune(*arguments, "--json", "--coordinator", coordinator)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def run_to_end(self, coordinator, job):
        name = self.lines(coordinator, "submit", self.write_job(job))[0]["name"]
        return name, self.attune("watch", name, "--coordinator", coordinator)

    def logprobs(self, responses):
        questions = "".join(json.dumps({"prompt_ids": response["prompt_token_ids"],
                                        "completion_ids": response["token_ids"]}) + "\n"
                            for response in responses)
        done = subprocess.run(
            [os.path.join(BIN_DIR, "attune"), "logprobs", "--model", MODEL], input=questions,
            text=True, env=self.environment, capture_output=True, timeout=PATIENCE_SECONDS,
            check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line)["logps"] for line in done.stdout.splitlines()]

    def test_the_gap_and_the_staleness_of_the_server_are_recorded(self):
        self.server.wrong = 2  # and asked again
        cluster, coordinator = self.start_cluster()
        job = small_job(prompts_per_round=8, evaluation={"holdout_prompts": 0},
                        pairing={"strategy": "all_pairs", "min_margin": 0})
        name, watched = self.run_to_end(coordinator, job)
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        self.assertEqual(len(self.server.requests), 2 * 8 * 3 + 2)
        seeds = {request["seed"] for request in self.server.requests}
        self.assertEqual(len(seeds), 2 * 8 * 3)  # one of its own for each sample

        rounds = {record["round"]: record["diagnosis"]
                  for record in self.lines(coordinator, "rounds", name) if record.get("round")}
        self.assertAlmostEqual(rounds[1]["sampler_gap"], OFF, places=4)
        self.assertEqual(rounds[1].get("sampler_staleness", 0), 0)  # of the initial policy
        self.assertNotAlmostEqual(rounds[2]["sampler_gap"], OFF, places=6)
        self.assertEqual(rounds[2]["sampler_staleness"], 1)  # nobody has updated the server

        pairs = self.lines(coordinator, "pairs", name, "--round", "1")
        responses = [pair[side] for pair in pairs for side in ("chosen", "rejected")]
        self.assertGreater(len(responses), 8)
        for response, logps in zip(responses, self.logprobs(responses), strict=True):
            self.assertIn(response["token_ids"], self.server.responses)
            self.assertEqual(len(response["logps"]), len(logps))
            for recorded, ours in zip(response["logps"], logps):
                self.assertAlmostEqual(recorded, ours, places=5)
        self.assert_metrics_and_no_key(cluster)

    def assert_metrics_and_no_key(self, cluster):
        workers = self.pids("attune-rollout")
        self.assertTrue(workers)
        for folder, _, names in os.walk(self.directory):
            for name in names:
                if name.endswith(".log"):
                    with open(os.path.join(folder, name), "rb") as file:
                        self.assertNotIn(KEY.encode(), file.read(), name)
        cluster.terminate()
        cluster.wait(PATIENCE_SECONDS)

    def test_a_server_of_our_weights_is_not_stale(self):
        self.server.entry["attune_round"] = 1
        _, coordinator = self.start_cluster()
        name, watched = self.run_to_end(
            coordinator, small_job(prompts_per_round=4, evaluation={"holdout_prompts": 0}))
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        for record in self.lines(coordinator, "rounds", name):
            self.assertEqual(record.get("diagnosis", {}).get("sampler_staleness", 0), 0)

    def test_a_server_that_never_answers_well_fails_the_job_with_its_words(self):
        self.server.wrong = 1 << 30
        _, coordinator = self.start_cluster()
        name, watched = self.run_to_end(coordinator, small_job(prompts_per_round=1, rounds=1))
        self.assertNotEqual(watched.returncode, 0)
        self.assertRegex(watched.stdout + watched.stderr,
                         "has the token 100000, the policy has the ids 0-511")
        self.assertEqual(self.lines(coordinator, "pairs", name, "--round", "1"), [])


if __name__ == "__main__":
    unittest.main()
