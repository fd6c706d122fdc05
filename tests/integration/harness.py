"""Starts real processes in a directory of their own, and leaves nothing of them behind.

ATTUNE_BIN_DIR is the directory of the binaries (build/<preset>/bin).
"""

import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import uuid

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BIN_DIR = os.path.abspath(os.environ.get("ATTUNE_BIN_DIR", os.path.join(ROOT, "build/release/bin")))
MODEL = os.path.join(ROOT, "models/stories260k")
LEXICON = os.path.join(ROOT, "recipes/data/vader_lexicon.tsv")
PROMPTS = os.path.join(ROOT, "recipes/data/tinystories_prompts.jsonl")

# Generous: sanitizers, and cores shared with other work.
PATIENCE_SECONDS = 300
# Every process of a test carries this in its environment, so that none can hide.
MARK = "ATTUNE_TEST_MARK"


def small_job(**overrides):
    """A job of two rounds that takes a few seconds; blocks given replace or extend its own."""
    job = {
        "name": "small",
        "model": {"path": MODEL},
        "dataset": {"path": PROMPTS},
        "algorithm": "dno_prct",
        "rounds": 2,
        "prompts_per_round": 16,
        "seed": 7,
        "sampling": {"num_generations": 3, "max_new_tokens": 24},
        "oracle": {"kind": "lexicon", "path": LEXICON},
        "training": {"learning_rate": 4e-5, "per_device_train_batch_size": 4,
                     "gradient_accumulation_steps": 1},
        "evaluation": {"holdout_prompts": 8},
    }
    for key, value in overrides.items():
        if isinstance(value, dict) and isinstance(job.get(key), dict):
            job[key] = {**job[key], **value}
        else:
            job[key] = value
    return job


def marked_processes(mark):
    """Process ids whose environment holds the mark, zombies excepted."""
    found = []
    needle = f"{MARK}={mark}".encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                if needle in file.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            pass  # it ended, or is not ours
    return found


def binary_name(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


class IntegrationTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="attune-integration-")
        self.mark = uuid.uuid4().hex
        self.environment = {**os.environ, MARK: self.mark, "OMP_WAIT_POLICY": "passive",
                            "PATH": BIN_DIR + os.pathsep + os.environ["PATH"]}
        for name in [name for name in self.environment
                     if name.startswith("ATTUNE_") and name != MARK]:
            del self.environment[name]  # settings of ours would leak into the processes
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(self.end_all_processes)

    def end_all_processes(self):
        for pid in marked_processes(self.mark):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def write_job(self, job, name="job.yaml"):
        return self.write(name, json.dumps(job, indent=1))  # JSON is YAML

    def attune(self, *arguments):
        """Runs the command line to its end: CompletedProcess with text output."""
        return subprocess.run([os.path.join(BIN_DIR, "attune"), *arguments], cwd=self.directory,
                              env=self.environment, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS, check=False)

    def run_job(self, job, out, *arguments):
        """`attune run` that has to succeed: its report.json."""
        done = self.attune("run", self.write_job(job), "--out", self.path(out), *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path(out, "report.json"), encoding="utf-8") as file:
            return json.load(file)

    def start(self, binary, *arguments):
        """Starts a process; its output goes to a pipe, its errors to a log in the directory."""
        log = open(self.path(f"{binary}-{uuid.uuid4().hex[:6]}.log"), "wb")
        self.addCleanup(log.close)
        process = subprocess.Popen([os.path.join(BIN_DIR, binary), *arguments],
                                   cwd=self.directory, env=self.environment,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                   text=True, bufsize=1)
        process.log_path = log.name
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def read_until(self, process, pattern):
        """The match of `pattern` in the first line of the process's output that has one."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        seen = []
        while time.monotonic() < deadline:
            if not select.select([process.stdout], [], [], 1)[0]:
                continue
            line = process.stdout.readline()
            seen.append(line)
            match = re.search(pattern, line)
            if match:
                return match
            if not line:
                break
        with open(process.log_path, encoding="utf-8", errors="replace") as log:
            self.fail(f"no line like {pattern} in: {''.join(seen)}\n{log.read()[-4000:]}")

    def start_server(self, binary, *arguments):
        """Starts a server on free ports: (process, address, metrics address)."""
        process = self.start(binary, "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0",
                             *arguments)
        match = self.read_until(process, r"^listening (\S+) metrics (\S+)$")
        return process, match.group(1), match.group(2)

    def start_cluster(self, *arguments, data="data"):
        """`attune up`: (process, address of the coordinator); process.metrics is an address too."""
        process = self.start("attune", "up", "--port", "0", "--data-dir", self.path(data),
                             *arguments)
        ready = self.read_until(process, r"^ready: coordinator ([^,\s]+), metrics (\S+)")
        process.metrics = ready.group(2)
        return process, ready.group(1)

    def pids(self, binary):
        return [pid for pid in marked_processes(self.mark) if binary_name(pid) == binary]

    def wait_until(self, condition, what):
        """Polls until `condition()` is true, and returns its value."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        self.fail(f"waited {PATIENCE_SECONDS} s in vain: {what}")

    def assert_no_process_left(self):
        self.wait_until(lambda: not marked_processes(self.mark),
                        "processes left: " + ", ".join(
                            f"{pid} {binary_name(pid)}" for pid in marked_processes(self.mark)))
