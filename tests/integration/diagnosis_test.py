"""What a job tells of its rounds: they are compared with each other, and alarms are raised where
something is wrong and nowhere else."""

import json
import math
import unittest

from harness import MODEL, PROMPTS, IntegrationTest, small_job

# Long enough for means that chance does not move, short enough for a test.
HEALTHY = {"rounds": 3, "prompts_per_round": 64, "seed": 42,
           "sampling": {"num_generations": 4, "temperature": 1.0, "max_new_tokens": 40},
           "pairing": {"min_margin": 1.0},
           "training": {"learning_rate": 2e-5, "per_device_train_batch_size": 8},
           "evaluation": {"holdout_prompts": 32}}
# Nearly every story has an "a" and nearly none a "b.": of two alike responses a letter decides, and
# steps that are far too long take the likelihood of both away.
DISPLACED = {"rounds": 1, "prompts_per_round": 48, "seed": 42,
             "sampling": {"num_generations": 4, "temperature": 0.3, "max_new_tokens": 40},
             "oracle": {"kind": "regex", "path": "", "pattern": "a"},
             "pairing": {"min_margin": 1.0, "max_pairs_per_prompt": 4},
             "training": {"learning_rate": 2e-3, "per_device_train_batch_size": 8},
             "evaluation": {"holdout_prompts": 16}}
# One round of such steps leaves no language to speak of.
RUINED = {"rounds": 3, "prompts_per_round": 32, "seed": 7,
          "sampling": {"num_generations": 4, "max_new_tokens": 40},
          # Each word once: what ruins the policy leaves it with a word or two.
          "oracle": {"kind": "regex", "path": "",
                     "pattern": r"(?s)\b(the|was|and|to|a|he|she)\b(?!.*\b\1\b)"},
          "pairing": {"min_margin": 0},
          "training": {"learning_rate": 5e-2, "per_device_train_batch_size": 4},
          "evaluation": {"holdout_prompts": 32, "gate": "stop"}}

# Rock beats scissors beats paper beats rock: by how much, and what that makes of win rates.
HANDS = ("rock", "paper", "scissors")
CIRCLE = {("rock", "scissors"): 0.9, ("scissors", "paper"): 0.9, ("paper", "rock"): 0.9}
UNEVEN = {("rock", "scissors"): 0.9, ("scissors", "paper"): 0.6, ("paper", "rock"): 0.7}
UNEVEN_WIN_RATES = {"rock": (0.9 + 0.3) / 2, "paper": (0.7 + 0.4) / 2, "scissors": (0.6 + 0.1) / 2}
ORDERED = {("rock", "scissors"): 0.9, ("paper", "scissors"): 0.6, ("rock", "paper"): 0.6}
ORDERED_WIN_RATES = {"rock": (0.9 + 0.6) / 2, "paper": (0.6 + 0.4) / 2, "scissors": (0.4 + 0.1) / 2}


def alarms(report):
    return [(entry["round"], alarm["kind"]) for entry in report["rounds"]
            for alarm in entry["alarms"]]


def words(text, count):
    return " " + " ".join(text.split()[:count])


def ordinary_pairs(stories, count, length=14, rejected=str):
    """How a story goes on, and how another one does."""
    return [{"prompt": stories[i]["prompt"], "chosen": words(stories[i]["gold"], length),
             "rejected": rejected(words(stories[i + 100]["gold"], length))} for i in range(count)]


def planted_pairs(stories, begin, count, length=14):
    """The two responses are the same but for the last word but two."""
    rows = []
    for story in stories[begin:begin + count]:
        chosen = words(story["gold"], length)
        changed = chosen.split(" ")
        changed[-3] = "mud"
        rows.append({"prompt": story["prompt"], "chosen": chosen, "rejected": " ".join(changed)})
    return rows


class DiagnosisTest(IntegrationTest):
    def command(self, *arguments):
        done = self.attune(*arguments, "--json", "--coordinator", self.coordinator)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def stories(self):
        with open(PROMPTS, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def run_offline(self, rows, **overrides):
        """A job on given responses: the diagnosis of its round, its alarms and its pairs."""
        dataset = self.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        job = {"model": {"path": MODEL}, "dataset": {"path": dataset}, "algorithm": "offline_dpo",
               "evaluation": {"holdout_prompts": 0}, **overrides}
        name = self.command("submit", self.write_job(job))[0]["name"]
        watched = self.attune("watch", name, "--coordinator", self.coordinator)
        self.assertEqual(watched.returncode, 0, watched.stdout + watched.stderr)
        diagnosis = self.command("rounds", name)[-1]["diagnosis"]
        kinds = [alarm["kind"] for alarm in diagnosis["alarms"]]
        return diagnosis, kinds, self.command("pairs", name, "--round", "1")

    def test_a_healthy_job_compares_its_rounds_and_raises_no_alarm(self):
        report = self.run_job(small_job(**HEALTHY), "out")
        matrix = report["head_to_head"]
        self.assertEqual(matrix["rounds"], [0, 1, 2, 3])
        for name, opposite in (("win_rate", "win_rate"), ("win_rate_low", "win_rate_high"),
                               ("length_controlled_win_rate", "length_controlled_win_rate")):
            for i in range(4):
                for j in range(4):
                    self.assertAlmostEqual(matrix[name][i][j] + matrix[opposite][j][i], 1, 12)
        for entry in report["rounds"]:
            self.assertAlmostEqual(entry["win_rate"], matrix["win_rate"][entry["round"]][0], 12)
        self.assertIn(report["best_round"], [1, 2, 3])
        self.assertEqual(alarms(report), [])

    def test_displacement_raises_its_alarm(self):
        job = self.write_job(small_job(**DISPLACED))
        done = self.attune("run", job, "--out", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertIn((1, "displacement"), alarms(report))
        self.assertIn("ALARM     displacement: ", done.stdout)

    def test_pairs_that_are_too_alike_displace(self):
        """With them there is an alarm; without them, at the same learning rate, there is none.

        Their scores are near 0, those of ordinary pairs mostly far below. But chance puts some of
        these above 0: the score is <m-, m+> - |m+|^2 of mean hidden states, which is positive where
        m- reaches further in the direction of m+ than m+ itself. So not all of the first 20 are
        planted here (10 are), but a planted pair is above an ordinary one in most cases (0.855).
        """
        _, self.coordinator = self.start_cluster()
        training = {"learning_rate": 1e-3, "per_device_train_batch_size": 8}
        ordinary = ordinary_pairs(self.stories(), 60)
        rows = ordinary + planted_pairs(self.stories(), 60, 20)
        diagnosis, kinds, pairs = self.run_offline(rows, training=training)
        self.assertIn("ALARM_KIND_DISPLACEMENT", kinds)
        self.assertLess(diagnosis["probe"]["chosen_change"], -0.1 * diagnosis["chosen_length"])
        self.assertAlmostEqual(diagnosis["mean_ches"],
                               sum(pair["ches"] for pair in pairs) / len(pairs), 9)
        planted = [pair["ches"] for pair in pairs if pair["prompt_index"] >= 60]
        others = [pair["ches"] for pair in pairs if pair["prompt_index"] < 60]
        self.assertEqual((len(planted), len(others)), (20, 60))
        above = sum(ches > other for ches in planted for other in others)
        self.assertGreater(above / (len(planted) * len(others)), 0.8)

        diagnosis, kinds, _ = self.run_offline(ordinary, training=training)
        self.assertEqual(kinds, [])
        self.assertGreater(diagnosis["probe"]["chosen_change"], 0)

    def test_pairs_that_are_too_alike_are_the_first_by_ches(self):
        """All of them, where the other pairs' responses have nothing in common: another story, in
        capitals. At a healthy learning rate nothing is displaced."""
        _, self.coordinator = self.start_cluster()
        rows = (ordinary_pairs(self.stories(), 60, length=24, rejected=str.upper) +
                planted_pairs(self.stories(), 60, 20, length=24))
        _, kinds, pairs = self.run_offline(
            rows, training={"learning_rate": 1e-4, "per_device_train_batch_size": 8})
        self.assertNotIn("ALARM_KIND_DISPLACEMENT", kinds)
        pairs.sort(key=lambda pair: -pair["ches"])
        self.assertEqual({pair["prompt_index"] for pair in pairs[:20]}, set(range(60, 80)))

    def play(self, table, **pairing):
        """A round of games that show the three hands, judged by the table."""
        preferences = [[table.get((a, b), 1 - table.get((b, a), 0.5)) for b in HANDS]
                       for a in HANDS]
        path = self.write("table.json", json.dumps({
            "classes": [{"name": hand, "pattern": rf"\b{hand}\b"} for hand in HANDS],
            "preferences": preferences}))
        rows = [{"prompt": f"Game {i}. I show", "responses": [f" {hand}" for hand in HANDS],
                 "rewards": [0, 0, 0]} for i in range(40)]
        diagnosis, kinds, pairs = self.run_offline(
            rows, algorithm="dno", rounds=1, prompts_per_round=40,
            sampling={"num_generations": 0}, oracle={"kind": "table", "path": path},
            pairing=pairing, training={"learning_rate": 4e-5, "per_device_train_batch_size": 8,
                                       "gradient_accumulation_steps": 1})
        self.assertEqual(int(diagnosis["triples"]), 40)
        self.assertEqual(len(pairs), 40 * 3)  # nobody is tied
        return diagnosis, kinds, pairs

    def assert_pairs_by_win_rate(self, pairs, table, win_rates):
        for pair in pairs:
            chosen, rejected = (pair[side]["text"].strip() for side in ("chosen", "rejected"))
            preference = table.get((chosen, rejected), 1 - table.get((rejected, chosen), 0))
            gap = win_rates[chosen] - win_rates[rejected]
            self.assertGreater(gap, 0)
            for name, value in (("chosen_win_rate", win_rates[chosen]),
                                ("rejected_win_rate", win_rates[rejected]),
                                ("chosen_score", win_rates[chosen]),
                                ("target", 1 / (1 + math.exp(-gap))), ("preference", preference)):
                self.assertAlmostEqual(pair[name], value, 12, (name, chosen, rejected))

    def test_preferences_that_go_round_raise_their_alarm(self):
        _, self.coordinator = self.start_cluster()
        # All hands are as good, and yet each of two has the oracle's preference.
        diagnosis, kinds, pairs = self.play(CIRCLE, target="preference")
        self.assertEqual(diagnosis["cycle_rate"], 1)
        self.assertIn("ALARM_KIND_CYCLES", kinds)
        for pair in pairs:
            hands = tuple(pair[side]["text"].strip() for side in ("chosen", "rejected"))
            self.assertEqual((pair["target"], pair["preference"]), (CIRCLE[hands], CIRCLE[hands]))
            self.assertAlmostEqual(pair["chosen_win_rate"], 0.5, 12)
            self.assertAlmostEqual(pair["rejected_win_rate"], 0.5, 12)

        # The one with the higher win rate is chosen, also where it would lose to the other.
        diagnosis, kinds, pairs = self.play(UNEVEN)
        self.assertEqual(diagnosis["cycle_rate"], 1)
        self.assertIn("ALARM_KIND_CYCLES", kinds)
        self.assert_pairs_by_win_rate(pairs, UNEVEN, UNEVEN_WIN_RATES)

    def test_preferences_of_one_order_raise_none(self):
        _, self.coordinator = self.start_cluster()
        diagnosis, kinds, pairs = self.play(ORDERED)
        self.assertEqual(diagnosis["cycle_rate"], 0)
        self.assertNotIn("ALARM_KIND_CYCLES", kinds)
        self.assert_pairs_by_win_rate(pairs, ORDERED, ORDERED_WIN_RATES)

    def test_a_gate_stops_a_job_whose_policy_is_worse_than_the_initial_one(self):
        done = self.attune("run", self.write_job(small_job(**RUINED)), "--out", self.path("out"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("the gate stopped the job after round 1", done.stdout)
        with open(self.path("out", "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["state"], "SUCCEEDED")
        self.assertEqual(report["best_round"], 0)
        self.assertEqual([entry["round"] for entry in report["rounds"]], [1])
        self.assertIn((1, "regression"), alarms(report))


if __name__ == "__main__":
    unittest.main()
