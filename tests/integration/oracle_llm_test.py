"""A language model as a judge, asked over the network: what it says is what its probabilities are,
and the same model in the oracle's own process says the same."""

import collections
import http.server
import json
import os
import subprocess
import threading
import unittest

from harness import BIN_DIR, MODEL, PATIENCE_SECONDS, IntegrationTest, small_job

TEMPLATE = "{prompt}\nA: {response_a}\nB: {response_b}\nThe better one is"
KEY = "a-secret-of-this-test"


class ChatServer:
    """POST /v1/chat/completions as llama.cpp's server has it, of a real model without a template.

    Its top_logprobs are of the answers A and B alone, with and without a space before them: the
    texts that the local judge scores after the same prompt.
    """

    def __init__(self, environment):
        self.model = subprocess.Popen(
            [os.path.join(BIN_DIR, "attune"), "logprobs", "--model", MODEL], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.lock = threading.Lock()  # one question to the model at a time
        self.requests = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                known = (self.path == "/v1/chat/completions" and
                         self.headers["Authorization"] == f"Bearer {KEY}")
                with server.lock:
                    server.requests.append(body)
                    answer = server.answer(body) if known else {"error": "not for you"}
                content = json.dumps(answer).encode()
                self.send_response(200 if known else 401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/v1"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def logprob(self, prompt, completion):
        self.model.stdin.write(json.dumps({"prompt": prompt, "completion": completion}) + "\n")
        return json.loads(self.model.stdout.readline())["sum"]

    def answer(self, body):
        message = body["messages"][0]["content"]
        top = [{"token": token, "logprob": self.logprob(message, token)}
               for token in ("A", " A", "B", " B")]
        top.sort(key=lambda entry: -entry["logprob"])
        content = {**top[0], "top_logprobs": top}
        return {"object": "chat.completion", "model": body["model"], "choices": [
            {"index": 0, "finish_reason": "length", "logprobs": {"content": [content]},
             "message": {"role": "assistant", "content": top[0]["token"]}}]}

    def stop(self):
        self.httpd.shutdown()
        self.httpd.server_close()
        self.model.stdin.close()
        self.model.wait(PATIENCE_SECONDS)
        self.model.stdout.close()


class OracleLlmTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        self.environment["JUDGE_KEY"] = KEY  # before the oracle process starts
        self.server = ChatServer(self.environment)
        self.addCleanup(self.server.stop)

    def command(self, coordinator, *arguments):
        done = self.attune(*arguments, "--json", "--coordinator", coordinator)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def judge_here(self, items):
        """Verdicts of the same model in the process of `attune judge`."""
        oracle = self.write("local.yaml", json.dumps({
            "kind": "llm_judge", "path": MODEL, "llm_judge": {"prompt_template": TEMPLATE}}))
        done = subprocess.run(
            [os.path.join(BIN_DIR, "attune"), "judge", "--oracle", oracle], text=True,
            input="".join(json.dumps(item) + "\n" for item in items), cwd=self.directory,
            env=self.environment, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_a_judge_behind_an_endpoint_prefers_what_its_model_prefers(self):
        _, coordinator = self.start_cluster()
        job = small_job(rounds=1, prompts_per_round=6, evaluation={"holdout_prompts": 0},
                        pairing={"strategy": "all_pairs", "min_margin": 0})
        job["oracle"] = {"kind": "llm_judge", "endpoint": self.server.url, "llm_judge": {
            "model": "stories", "prompt_template": TEMPLATE, "api_key_variable": "JUDGE_KEY"}}
        name = self.command(coordinator, "submit", self.write_job(job))[0]["name"]
        watched = self.attune("watch", name, "--coordinator", coordinator)
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        diagnosis = self.command(coordinator, "rounds", name)[-1]["diagnosis"]
        pairs = self.command(coordinator, "pairs", name, "--round", "1")
        self.assertEqual(len(self.server.requests), 6 * 3 * 2)  # every two, in both orders
        for body in self.server.requests:
            self.assertEqual((body["model"], body["max_tokens"], body["logprobs"]),
                             ("stories", 1, True))

        # All pairs of three: the pairs name all candidates.
        candidates = collections.defaultdict(dict)
        for pair in pairs:
            for response in (pair["chosen"], pair["rejected"]):
                candidates[pair["prompt"]][response["sample"]] = response["text"]
        self.assertEqual([sorted(samples) for samples in candidates.values()], [[0, 1, 2]] * 6)
        items = [{"prompt": prompt, "responses": [samples[k] for k in range(3)]}
                 for prompt, samples in candidates.items()]
        verdicts = dict(zip(candidates, self.judge_here(items)))
        for pair in pairs:
            verdict = verdicts[pair["prompt"]]
            chosen, rejected = pair["chosen"]["sample"], pair["rejected"]["sample"]
            self.assertAlmostEqual(pair["preference"], verdict["preferences"][chosen][rejected], 6)
            self.assertAlmostEqual(pair["chosen_score"], verdict["scores"][chosen], 6)
            self.assertAlmostEqual(pair["rejected_score"], verdict["scores"][rejected], 6)
        self.assertGreater(max(pair["preference"] for pair in pairs), 0.51)  # it has opinions

        self.assertEqual(diagnosis["swaps"], 6 * 3)
        self.assertEqual(int(diagnosis["triples"]), 6)
        agreed = sum(verdict["swaps_agreed"] for verdict in verdicts.values())
        self.assertAlmostEqual(diagnosis["swap_consistency"], agreed / (6 * 3), 12)


if __name__ == "__main__":
    unittest.main()
