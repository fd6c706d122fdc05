"""A model behind OpenAI's HTTP API: what clients get is what the other commands compute."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import unittest

from harness import BIN_DIR, MODEL, PATIENCE_SECONDS, IntegrationTest

PROMPT = "Once upon a time"
TEMPLATE = ("{{ bos_token }}{% for message in messages %}{{ message.content ~ ' ' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'One day' }}{% endif %}")


class ServeTest(IntegrationTest):
    def serve(self, *arguments, model=MODEL):
        process = self.start("attune", "serve", "--model", model, "--listen", "127.0.0.1:0",
                             "--threads", "2", *arguments)
        process.address = self.read_until(process, r"^listening (\S+)$").group(1)
        return process

    def connect(self, server):
        connection = http.client.HTTPConnection(server.address, timeout=PATIENCE_SECONDS)
        self.addCleanup(connection.close)
        return connection

    def ask(self, server, method, path, body=None, headers=None):
        """(status, JSON or text) of one request on a connection of its own."""
        connection = self.connect(server)
        connection.request(method, path, body if body is None or isinstance(body, (str, bytes))
                           else json.dumps(body), headers or {})
        response = connection.getresponse()
        text = response.read().decode()
        is_json = response.headers["Content-Type"] == "application/json"
        connection.close()
        return response.status, json.loads(text) if is_json else text

    def complete(self, server, path="/v1/completions", **body):
        status, answer = self.ask(server, "POST", path, body)
        self.assertEqual(status, 200, answer)
        return answer

    def events(self, server, path="/v1/completions", **body):
        """The objects of a stream, up to [DONE]."""
        status, text = self.ask(server, "POST", path, {**body, "stream": True})
        self.assertEqual(status, 200, text)
        lines = [line for line in text.split("\n\n") if line]
        self.assertTrue(all(line.startswith("data: ") for line in lines), text)
        self.assertEqual(lines[-1], "data: [DONE]")
        return [json.loads(line[len("data: "):]) for line in lines[:-1]]

    def tool(self, *arguments, lines=()):
        """JSON lines of an `attune` command that is given JSON lines."""
        done = subprocess.run([os.path.join(BIN_DIR, "attune"), *arguments], text=True,
                              input="".join(json.dumps(line) + "\n" for line in lines),
                              cwd=self.directory, env=self.environment, capture_output=True,
                              timeout=PATIENCE_SECONDS, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def generate(self, *arguments):
        return self.tool("generate", "--model", MODEL, "--prompt", PROMPT, "--json", *arguments)

    def chat_model(self):
        model = self.path("storyteller")
        shutil.copytree(MODEL, model)
        self.write("storyteller/chat_template.jinja", TEMPLATE)
        return model

    def test_completions_are_what_attune_generate_gives(self):
        server = self.serve()
        ids = self.tool("tokenize", "--model", MODEL, lines=[{"text": PROMPT}])[0]["ids"]
        greedy = self.generate("--temperature", "0", "--max-new-tokens", "30")[0]
        for prompt in (PROMPT, [PROMPT], ids, [ids]):
            answer = self.complete(server, prompt=prompt, temperature=0, max_tokens=30, logprobs=0)
            choice = answer["choices"][0]
            self.assertEqual(choice["text"], greedy["text"])
            self.assertEqual(choice["finish_reason"], "length")
            self.assertEqual(choice["logprobs"]["token_logprobs"], greedy["logps"])
            self.assertEqual("".join(choice["logprobs"]["tokens"]), greedy["text"])
            self.assertEqual(answer["usage"], {"prompt_tokens": len(ids), "completion_tokens": 30,
                                               "total_tokens": len(ids) + 30})
        logps = self.tool("logprobs", "--model", MODEL, lines=[
            {"prompt_ids": ids, "completion_ids": greedy["ids"]}])[0]["logps"]
        self.assertEqual(choice["logprobs"]["token_logprobs"], logps)

        # Sampled, with the same seed: the same responses in the same order, also of a list.
        sampled = self.generate("--seed", "7", "--num-generations", "3", "--max-new-tokens", "20",
                                "--top-p", "0.9")
        texts = [line["text"] for line in sampled]
        options = {"seed": 7, "n": 3, "max_tokens": 20, "top_p": 0.9}
        answer = self.complete(server, prompt=[PROMPT, "Lily"], **options)
        self.assertEqual([choice["text"] for choice in answer["choices"]][:3], texts)
        self.assertEqual([choice["index"] for choice in answer["choices"]], list(range(6)))
        # A seed that was not asked for is told, and does it again.
        answer = self.complete(server, prompt=PROMPT)
        again = self.complete(server, prompt=PROMPT, seed=answer["seed"])
        other = self.complete(server, prompt=PROMPT)
        self.assertEqual(again["choices"], answer["choices"])
        self.assertNotEqual(other["seed"], answer["seed"])
        self.assertRegex(answer["system_fingerprint"], "^fp_[0-9a-f]{12}$")

    def test_top_logprobs_are_those_of_the_model(self):
        server = self.serve()
        body = {"prompt": PROMPT, "max_tokens": 4, "seed": 3, "logprobs": 5}
        logprobs = self.complete(server, **body)["choices"][0]["logprobs"]
        tops = logprobs["top_logprobs"]
        for i, (token, logp) in enumerate(zip(logprobs["tokens"], logprobs["token_logprobs"])):
            self.assertEqual(len(tops[i]), 5)
            self.assertEqual(sorted(tops[i].values(), reverse=True), list(tops[i].values()))
            self.assertEqual(tops[i].get(token, logp), logp)
        text = PROMPT
        for token, top in zip(logprobs["tokens"], tops):
            for word, logp in top.items():
                line = {"prompt": text, "completion": word}
                known = self.tool("logprobs", "--model", MODEL, lines=[line])[0]["logps"]
                if len(known) == 1:  # the text is the token's own
                    self.assertAlmostEqual(known[0], logp, 6)
            text += token
        events = self.events(server, **body)
        self.assertEqual([event["choices"][0]["logprobs"] for event in events], [logprobs])

    def test_streams_join_to_the_whole_answer(self):
        server = self.serve()
        body = {"prompt": [PROMPT, "Tom saw a"], "n": 2, "seed": 11, "max_tokens": 40,
                "logprobs": 0, "stop": ["\n", "he was"]}
        whole = self.complete(server, **body)
        events = self.events(server, **body, stream_options={"include_usage": True})
        usage = events.pop()
        self.assertEqual((usage["choices"], usage["usage"]), ([], whole["usage"]))
        self.assertGreater(len(events), 40)  # it comes in pieces
        for choice in whole["choices"]:
            deltas = [event["choices"][0] for event in events
                      if event["choices"][0]["index"] == choice["index"]]
            self.assertEqual("".join(delta["text"] for delta in deltas), choice["text"])
            self.assertEqual({delta["finish_reason"] for delta in deltas[:-1]}, {None})
            self.assertEqual(deltas[-1]["finish_reason"], choice["finish_reason"])
            for name in ("tokens", "token_logprobs", "text_offset"):
                self.assertEqual(sum((delta["logprobs"][name] for delta in deltas), []),
                                 choice["logprobs"][name])

    def test_stop_texts_end_an_answer(self):
        server = self.serve()
        free = self.complete(server, prompt=PROMPT, temperature=0, max_tokens=40)["choices"][0]
        for stop in (free["text"][10:14], [free["text"][7:9], "no such text"], "was a l"):
            first = stop if isinstance(stop, str) else stop[0]
            for answer in (self.complete(server, prompt=PROMPT, temperature=0, max_tokens=40,
                                         stop=stop),):
                choice = answer["choices"][0]
                self.assertEqual(choice["text"], free["text"].split(first)[0])
                self.assertEqual(choice["finish_reason"], "stop")
                self.assertLess(answer["usage"]["completion_tokens"], 40)
            events = self.events(server, prompt=PROMPT, temperature=0, max_tokens=40, stop=stop)
            self.assertEqual("".join(event["choices"][0]["text"] for event in events),
                             choice["text"])

    def test_chats_are_written_by_the_template(self):
        model = self.chat_model()
        server = self.serve("--served-model-name", "teller", model=model)
        messages = [{"role": "system", "content": "A story."},
                    {"role": "user", "content": [{"type": "text", "text": "Tell of "},
                                                 {"type": "text", "text": "dogs."}]}]
        body = {"path": "/v1/chat/completions", "model": "teller", "messages": messages,
                "max_completion_tokens": 12, "temperature": 0}
        answer = self.complete(server, **body, logprobs=True, top_logprobs=2)
        prompts = self.write("prompts.jsonl", json.dumps({"messages": [
            messages[0], {"role": "user", "content": "Tell of dogs."}]}))
        known = self.tool("generate", "--model", model, "--prompts", prompts, "--temperature", "0",
                          "--max-new-tokens", "12")[0]
        choice = answer["choices"][0]
        self.assertEqual(answer["object"], "chat.completion")
        self.assertEqual(choice["message"], {"role": "assistant", "content": known["text"]})
        content = choice["logprobs"]["content"]
        self.assertEqual([token["logprob"] for token in content], known["logps"])
        for token in content:  # greedy: the likeliest is the one drawn
            self.assertEqual(len(token["top_logprobs"]), 2)
            self.assertEqual(token["top_logprobs"][0]["token"], token["token"])
            self.assertEqual(bytes(token["bytes"]).decode(), token["token"])
        deltas = [event["choices"][0]["delta"] for event in self.events(server, **body)]
        self.assertEqual(deltas[0]["role"], "assistant")
        self.assertEqual("".join(delta.get("content", "") for delta in deltas), known["text"])

        status, answer = self.ask(server, "GET", "/v1/models")
        self.assertEqual((status, [model["id"] for model in answer["data"]]), (200, ["teller"]))
        self.assertEqual(self.ask(server, "GET", "/v1/models/teller")[0], 200)

    def test_what_is_wrong_is_said(self):
        server = self.serve()
        for status, method, path, body, words in (
                (400, "POST", "/v1/completions", "{", "syntax error"),
                (400, "POST", "/v1/completions", {"prompt": PROMPT, "echo": True}, "echo"),
                (400, "POST", "/v1/completions", {"prompt": [9999]}, "vocabulary"),
                (400, "POST", "/v1/completions", {"prompt": "a b " * 600}, "max_position"),
                (400, "POST", "/v1/chat/completions",
                 {"messages": [{"role": "user", "content": "Hi"}]}, "chat template"),
                (404, "POST", "/v1/completions", {"prompt": PROMPT, "model": "gpt"}, "stories260k"),
                (404, "GET", "/v1/models/gpt", None, "stories260k"),
                (404, "GET", "/v1/files", None, "/v1/files"),
                (404, "GET", "/" + "a" * 5000, None, "nothing"),
                (405, "GET", "/v1/completions", None, "POST"),
                (413, "POST", "/v1/completions", "a" * (9 << 20), "longer")):
            with self.subTest(path=path[:40], words=words):
                code, answer = self.ask(server, method, path, body)
                self.assertEqual(code, status, answer)
                self.assertIn(words, answer["error"]["message"])
        form = '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
        status, answer = self.ask(server, "POST", "/v1/completions", form, {
            "Content-Type": "multipart/form-data; boundary=x"})
        self.assertEqual(status, 400, answer)
        self.assertEqual(self.ask(server, "GET", "/health"), (200, {"status": "ok"}))
        self.assertIn('attune_serve_replies_total{status="405"} 1',
                      self.ask(server, "GET", "/metrics")[1])
        refused = self.attune("serve", "--model", MODEL, "--listen", server.address)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("in use", refused.stderr)
        self.assertEqual(self.attune("serve", "--model", self.directory).returncode, 2)

    def test_a_key_is_asked_for(self):
        server = self.serve("--api-key-file", self.write("key", "sesame\n"))
        for headers, status in (({}, 401), ({"Authorization": "Bearer sesam"}, 401),
                                ({"Authorization": "sesame"}, 401),
                                ({"Authorization": "Bearer sesame"}, 200)):
            code, answer = self.ask(server, "GET", "/v1/models", headers=headers)
            self.assertEqual(code, status, answer)
        self.assertEqual(self.ask(server, "GET", "/health")[0], 200)

    def metric(self, server, name):
        text = self.ask(server, "GET", "/metrics")[1]
        return float(next(line for line in text.splitlines()
                          if line.startswith(name + " ")).split()[1])

    def test_a_hundred_clients_at_once(self):
        """Each gets what it would get alone; those that hang up leave nothing behind."""
        server = self.serve()
        alone = [self.complete(server, prompt=PROMPT, seed=i, max_tokens=24)["choices"]
                 for i in range(4)]
        failures = []

        def ask(i):
            try:
                body = {"prompt": PROMPT, "seed": i % 4, "max_tokens": 24, "stream": i % 2 == 0}
                if i % 5 == 0:  # goes before the answer
                    raw = json.dumps({**body, "max_tokens": 400}).encode()
                    host, port = server.address.split(":")
                    with socket.create_connection((host, int(port))) as gone:
                        gone.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "
                                     + str(len(raw)).encode() + b"\r\n\r\n" + raw)
                    return
                if not body["stream"]:
                    got = self.complete(server, **body)["choices"][0]["text"]
                else:
                    got = "".join(event["choices"][0]["text"]
                                  for event in self.events(server, **body))
                if got != alone[i % 4][0]["text"]:
                    failures.append((i, got))
            except Exception as error:  # a thread's would be lost
                failures.append((i, repr(error)))

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        self.assertEqual(failures, [])
        self.wait_until(lambda: self.metric(server, "attune_serve_running") == 0 and
                        self.metric(server, "attune_serve_waiting") == 0, "an idle engine")
        drawn = self.metric(server, "attune_serve_decode_tokens_total")
        self.assertLess(drawn, 84 * 24 + 20 * 400)

    def test_a_stop_signal_lets_answers_end(self):
        server = self.serve()
        connection = self.connect(server)
        connection.request("POST", "/v1/completions", json.dumps(
            {"prompt": PROMPT, "n": 32, "max_tokens": 400, "stream": True, "seed": 1}))
        response = connection.getresponse()
        first = response.readline()
        waiting = self.connect(server)
        waiting.connect()
        server.send_signal(signal.SIGTERM)
        self.wait_until(lambda: self.ask_health(waiting) != 200, "refusals")
        waiting.request("POST", "/v1/completions", json.dumps({"prompt": PROMPT}))
        refused = waiting.getresponse()
        self.assertEqual(refused.status, 503)
        self.assertEqual(refused.headers["Retry-After"], "1")
        self.assertIn("stopping", json.loads(refused.read())["error"]["message"])
        rest = response.read().decode()
        self.assertIn(b"data: ", first)
        self.assertTrue(rest.endswith("data: [DONE]\n\n"), rest[-200:])
        self.assertEqual(rest.count('"finish_reason":"'), 32)
        self.assertEqual(server.wait(PATIENCE_SECONDS), 0)

    def ask_health(self, connection):
        connection.request("GET", "/health")
        response = connection.getresponse()
        response.read()
        return response.status

    def test_a_judge_asks_it(self):
        """attune judge with the served model, and with the same model in its own process."""
        model = self.chat_model()
        self.write("storyteller/chat_template.jinja", "{{ bos_token }}{{ messages[0].content }}")
        server = self.serve(model=model)
        items = [{"prompt": PROMPT, "responses": ["a dog", "a girl"]}]
        words = {"mode": "rating", "ratings": ["big", "little"],
                 "prompt_template": "{prompt} there was {response}. {ratings}! It was a"}
        there = self.write("there.yaml", json.dumps({
            "kind": "llm_judge", "endpoint": f"http://{server.address}/v1",
            "llm_judge": {"model": "storyteller", **words}}))
        verdict = self.tool("judge", "--oracle", there, lines=items)[0]
        here = self.write("here.yaml", json.dumps({
            "kind": "llm_judge", "path": model, "llm_judge": words}))
        local = self.tool("judge", "--oracle", here, lines=items)[0]
        # Not the same: in the first token " l" counts as the beginning of "little".
        for score, known in zip(verdict["scores"], local["scores"]):
            self.assertAlmostEqual(score, known, delta=0.03)


if __name__ == "__main__":
    unittest.main()
