"""Jobs whose prompts are chat messages."""

import json
import os
import shutil
import unittest

from harness import MODEL, IntegrationTest, small_job

TEMPLATE = """{{ bos_token }}
{%- for message in messages -%}
    {%- if message.role == 'tool' -%}
        {{ raise_exception('tools are not known here') }}
    {%- endif -%}
    {{ message.content ~ ' ' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{ 'One day' }}
{%- endif -%}
"""


class ChatTest(IntegrationTest):
    def chat_model(self):
        model = self.path("model")
        shutil.copytree(MODEL, model)
        self.write("model/chat_template.jinja", TEMPLATE)
        return model

    def dataset(self, last_role="user"):
        lines = [[{"role": "system", "content": "A story."},
                  {"role": last_role, "content": f"Tell of {number} dogs."}]
                 for number in range(12)]
        return self.write("chat.jsonl", "\n".join(json.dumps({"messages": line})
                                                  for line in lines))

    def job(self, model, **dataset):
        return small_job(rounds=1, prompts_per_round=8, model={"path": model},
                         dataset={"path": self.dataset(**dataset)},
                         evaluation={"holdout_prompts": 4})

    def test_messages_are_answered_as_the_template_writes_them(self):
        report = self.run_job(self.job(self.chat_model()), "out")
        self.assertEqual(report["state"], "SUCCEEDED")
        trained = self.path("out", "model")
        self.assertTrue(os.path.exists(os.path.join(trained, "chat_template.jinja")))
        done = self.attune("generate", "--model", trained, "--prompts", self.path("chat.jsonl"),
                           "--max-new-tokens", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout.splitlines()[1])["prompt"],
                         "<s>A story. Tell of 1 dogs. One day")

    def test_a_model_without_template_is_refused(self):
        done = self.attune("run", self.write_job(self.job(MODEL)), "--out", self.path("out"))
        self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
        self.assertIn("dataset.path", done.stdout + done.stderr)
        self.assertIn("has no chat template", done.stdout + done.stderr)

    def test_what_the_template_raises_fails_the_job(self):
        job = self.job(self.chat_model(), last_role="tool")
        done = self.attune("run", self.write_job(job), "--out", self.path("out"))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stdout + done.stderr,
                         r"prompt \d+ has messages that cannot be used: .*line 4: "
                         r"the template raises: tools are not known here")


if __name__ == "__main__":
    unittest.main()
