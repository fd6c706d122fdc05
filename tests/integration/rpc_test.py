"""The public surface of the servers as tools in any language see it: reflection, health, error
details, metrics. Every process is started by itself, on free ports."""

import os
import re
import subprocess
import unittest
import urllib.request

import grpc

from harness import BIN_DIR, LEXICON, MODEL, PROMPTS, IntegrationTest
from reflection import SERVING, Server, error_details

JOBS = "attune.v1.JobService/"


def job_spec(**overrides):
    """A spec as JSON of the proto, not of the job file: enum values have their full names."""
    return {"name": "small", "model": {"path": MODEL}, "dataset": {"path": PROMPTS},
            "oracle": {"kind": "ORACLE_KIND_LEXICON", "path": LEXICON}, **overrides}


class LinkTest(unittest.TestCase):
    def test_heavy_libraries_stay_where_they_belong(self):
        users = {"libtorch": {"attune-trainer"}, "libmpi": {"attune-trainer"},
                 "librocksdb": {"attune-coordinator"}}
        for binary in ("attune", "attune-coordinator", "attune-rollout", "attune-oracle",
                       "attune-trainer", "attune-model", "attune-judge", "attune-serve"):
            linked = subprocess.run(["ldd", os.path.join(BIN_DIR, binary)], text=True,
                                    capture_output=True, check=True).stdout
            for library, allowed in users.items():
                self.assertEqual(library in linked, binary in allowed, f"{binary} {library}")


class RpcTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        _, address, metrics = self.start_server("attune-coordinator", "--data-dir",
                                                self.path("data"))
        self.servers = {"coordinator": (address, metrics)}
        for role, binary in (("rollout", "attune-rollout"), ("oracle", "attune-oracle"),
                             ("trainer", "attune-trainer")):
            self.servers[role] = self.start_server(binary, "--coordinator", address)[1:]
        self.coordinator = self.connect(address)
        self.wait_until(lambda: len(self.workers()) == 3, "three workers")

    def connect(self, address):
        server = Server(address)
        self.addCleanup(server.close)
        return server

    def workers(self):
        return self.coordinator.call(JOBS + "ListWorkers").get("workers", [])

    def refused(self, method, **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            self.coordinator.call(method, **fields)
        return caught.exception

    def test_every_server_is_healthy_and_describes_itself(self):
        services = {"coordinator": "JobService", "rollout": "RolloutService",
                    "oracle": "OracleService", "trainer": "TrainerService"}
        for role, service in services.items():
            server = self.connect(self.servers[role][0])
            self.assertEqual(server.health(), SERVING, role)
            self.assertIn("attune.v1." + service, server.list_services())
            self.assertIn("grpc.health.v1.Health", server.list_services())

    def test_workers_are_listed(self):
        self.assertEqual({worker["role"] for worker in self.workers()},
                         {"WORKER_ROLE_ROLLOUT", "WORKER_ROLE_ORACLE", "WORKER_ROLE_TRAINER"})
        known = {(worker["address"], worker["metrics_address"]) for worker in self.workers()}
        self.assertEqual(known, {addresses for role, addresses in self.servers.items()
                                 if role != "coordinator"})

    def test_every_problem_is_a_field_violation(self):
        spec = job_spec(rounds=0, model={"path": "no-such-model"},
                        training={"learning_rate": 2.0}, sampling={"top_p": 0.0})
        error = self.refused(JOBS + "CreateJob", spec=spec, validate_only=True)
        self.assertEqual(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        violations = error_details(error)["BadRequest"].field_violations
        self.assertLessEqual({"rounds", "model.path", "training.learning_rate", "sampling.top_p"},
                             {violation.field for violation in violations})
        for violation in violations:
            self.assertGreater(len(violation.description), 5)

    def test_validation_stores_nothing(self):
        job = self.coordinator.call(JOBS + "CreateJob", spec=job_spec(), validate_only=True)
        self.assertEqual(job["resolved_spec"]["rounds"], 3)
        self.assertEqual(job["resolved_spec"]["pairing"]["strategy"],
                         "PAIRING_STRATEGY_LARGE_MARGIN")
        self.assertEqual(self.coordinator.call(JOBS + "ListJobs").get("jobs", []), [])

    def test_request_id_gives_the_same_job_again(self):
        first = self.coordinator.call(JOBS + "CreateJob", spec=job_spec(), request_id="r1")
        again = self.coordinator.call(JOBS + "CreateJob", spec=job_spec(), request_id="r1")
        other = self.coordinator.call(JOBS + "CreateJob", spec=job_spec(), request_id="r2")
        self.assertEqual(first["name"], again["name"])
        self.assertNotEqual(first["name"], other["name"])
        names = [job["name"] for job in self.coordinator.call(JOBS + "ListJobs")["jobs"]]
        self.assertEqual(names, [other["name"], first["name"]])  # newest first
        page = self.coordinator.call(JOBS + "ListJobs", page_size=1)
        self.assertEqual([job["name"] for job in page["jobs"]], [other["name"]])
        rest = self.coordinator.call(JOBS + "ListJobs", page_token=page["next_page_token"])
        self.assertEqual([job["name"] for job in rest["jobs"]], [first["name"]])
        for name in names:
            self.coordinator.call(JOBS + "CancelJob", name=name)
            self.wait_until(lambda name=name: self.coordinator.call(
                JOBS + "GetJob", name=name)["state"] == "JOB_STATE_CANCELLED", "the cancellation")

    def test_missing_job_is_named(self):
        error = self.refused(JOBS + "GetJob", name="jobs/absent")
        self.assertEqual(error.code(), grpc.StatusCode.NOT_FOUND)
        self.assertEqual(error_details(error)["ResourceInfo"].resource_name, "jobs/absent")

    def test_metrics_of_every_process(self):
        for role, (_, metrics) in self.servers.items():
            with urllib.request.urlopen(f"http://{metrics}/metrics", timeout=60) as answer:
                page = answer.read().decode()
            self.assertRegex(page, f'attune_build_info{{role="{role}",version="[0-9.]+"}} 1')
            for name in re.findall(r"^# TYPE (\w+)", page, re.MULTILINE):
                if not name.startswith("exposer_"):  # prometheus-cpp's own
                    self.assertTrue(name.startswith("attune_"), name)


if __name__ == "__main__":
    unittest.main()
