#!/usr/bin/env python3
"""Compares explicit and implicit rewards in and out of domain for docs/reward_models.md.

    scripts/reward_table.py --attune build/release/bin/attune --out DIR

Writes what stands between the markers of the page. Jobs that DIR already has a report of are not
run again; a new DIR starts afresh.
"""

import argparse
import concurrent.futures
import json
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/stories260k"
DOMAINS = {"gsm8k": ROOT / "recipes/data/gsm8k_pairs.jsonl",
           "harmless": ROOT / "recipes/data/harmless_pairs.jsonl"}
FOLDS = 3  # a job of seed 1 + fold trains on two thirds of the rows and is judged on the others
KINDS = {"explicit": {"algorithm": "reward_model", "learning_rate": 5e-4},
         "implicit": {"algorithm": "offline_dpo", "learning_rate": 1e-4}}
EPOCHS = 2
BATCH = 8
BEGIN, END = "<!-- begin reward_table -->", "<!-- end reward_table -->"


# ---- Running jobs


def fold_rows(domain, fold, held_out):
    lines = DOMAINS[domain].read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for i, line in enumerate(lines) if (i % FOLDS == fold) == held_out]


def job_directory(directory, domain, fold, kind):
    return directory / f"{domain}-{fold}-{kind}"


def write_inputs(directory):
    """The rows to train on and those to judge, by domain and fold, and the jobs."""
    for domain in DOMAINS:
        for fold in range(FOLDS):
            train = directory / f"{domain}-{fold}-train.jsonl"
            train.write_text("".join(fold_rows(domain, fold, False)), encoding="utf-8")
            test = directory / f"{domain}-{fold}-test.jsonl"
            test.write_text("".join(fold_rows(domain, fold, True)), encoding="utf-8")
            for kind, values in KINDS.items():
                job = {"name": f"{domain}-{fold}-{kind}", "model": {"path": str(MODEL)},
                       "dataset": {"path": str(train)}, "algorithm": values["algorithm"],
                       "seed": 1 + fold,
                       "training": {"learning_rate": values["learning_rate"],
                                    "num_train_epochs": EPOCHS,
                                    "per_device_train_batch_size": BATCH},
                       "evaluation": {"holdout_prompts": 0}}
                path = job_directory(directory, domain, fold, kind).with_suffix(".yaml")
                path.write_text(json.dumps(job, indent=1), encoding="utf-8")  # JSON is YAML


def run(command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command}: {done.stdout[-400:]}{done.stderr[-400:]}")
    return done.stdout


def train(attune, out):
    if not (out / "report.json").exists():
        run([attune, "run", out.with_suffix(".yaml"), "--out", out])
    print(f"trained {out.name}", flush=True)


def judge(attune, directory, domain, fold, test_domain):
    """Of the models trained on `domain`, before the held-out pairs of `test_domain`."""
    base = directory / f"{domain}-{fold}"
    base.mkdir(exist_ok=True)
    models = {kind: str(job_directory(directory, domain, fold, kind) / "model") for kind in KINDS}
    oracles = {"explicit": {"kind": "reward_model", "path": models["explicit"]},
               "implicit": {"kind": "implicit_reward", "path": models["implicit"],
                            "reference_path": str(MODEL)},
               "shorter": {"kind": "length"}}
    command = [attune, "judge", "--json", "--model", MODEL, "--evaluate",
               directory / f"{test_domain}-{fold}-test.jsonl"]
    for name, oracle in oracles.items():
        (base / f"{name}.yaml").write_text(json.dumps(oracle), encoding="utf-8")
        command += ["--oracle", base / f"{name}.yaml"]
    print(f"judged {test_domain} by {base.name}", flush=True)
    return json.loads(run(command))


# ---- The table


def wilson(correct, pairs):
    z = 1.96
    rate = correct / pairs
    middle = rate + z * z / (2 * pairs)
    half = z * math.sqrt(rate * (1 - rate) / pairs + z * z / (4 * pairs * pairs))
    return (middle - half) / (1 + z * z / pairs), (middle + half) / (1 + z * z / pairs)


def percent(correct, pairs):
    low, high = wilson(correct, pairs)
    return f"{100 * correct / pairs:.1f} ({100 * low:.1f} to {100 * high:.1f})"


def difference(correct, others, disagreements, pairs):
    """Percentage points between two oracles on the same pairs, with the paired 95 % interval.

    Where they disagree, and without ties, exactly one of them is right: that is McNemar's table.
    """
    gap = correct - others
    half = 1.96 * math.sqrt(max(disagreements - gap * gap / pairs, 0))
    low, high = (100 * (gap + sign * half) / pairs for sign in (-1, 1))
    return f"{100 * gap / pairs:+.1f} ({low:+.1f} to {high:+.1f})"


def pooled(reports):
    """Counts over the folds: every held-out pair counts once."""
    counts = {"pairs": 0, "disagreements": 0, "explicit": 0, "implicit": 0, "shorter": 0}
    for report in reports:
        for oracle in report["oracles"]:
            every = oracle["splits"][0]
            if every["failed"] or (every["ties"] and oracle["name"] != "shorter"):
                sys.exit(f"{oracle['name']}: {every['failed']} failures, {every['ties']} ties")
            counts[oracle["name"]] += every["correct"]
        counts["pairs"] += report["rows"]
        counts["disagreements"] += sum(
            round(line["disagreement"]["rate"] * line["disagreement"]["of"])
            for line in report["disagreement"] if set(line["oracles"]) == set(KINDS))
    return counts


def table(results):
    lines = ["| trained on | judged on | pairs | explicit, % | implicit, % | explicit - implicit "
             "| disagree, % | shorter, % |", "|" + "---|" * 8]
    for (domain, test_domain), reports in results.items():
        c = pooled(reports)
        folds = ", ".join(f"{100 * pooled([r])['explicit'] / r['rows']:.0f}/"
                          f"{100 * pooled([r])['implicit'] / r['rows']:.0f}" for r in reports)
        print(f"{domain} -> {test_domain}: explicit/implicit by fold {folds}")
        cells = [domain, test_domain, str(c["pairs"]), percent(c["explicit"], c["pairs"]),
                 percent(c["implicit"], c["pairs"]),
                 difference(c["explicit"], c["implicit"], c["disagreements"], c["pairs"]),
                 percent(c["disagreements"], c["pairs"]), percent(c["shorter"], c["pairs"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attune", required=True, help="the program attune")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="jobs, models and reports")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/reward_models.md")
    parser.add_argument("--jobs", type=int, default=2, help="at a time")
    flags = parser.parse_args()
    directory = flags.out.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    write_inputs(directory)
    folds = range(FOLDS)
    jobs = [job_directory(directory, domain, fold, kind)
            for fold in folds for domain in DOMAINS for kind in KINDS]
    judgements = [(domain, test, fold) for domain in DOMAINS for test in DOMAINS for fold in folds]
    with concurrent.futures.ThreadPoolExecutor(flags.jobs) as pool:
        list(pool.map(lambda out: train(flags.attune, out), jobs))
        reports = list(pool.map(
            lambda j: judge(flags.attune, directory, j[0], j[2], j[1]), judgements))
    results = {}
    for (domain, test, _), report in zip(judgements, reports):
        results.setdefault((domain, test), []).append(report)
    text = flags.page.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    flags.page.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")
    print(f"wrote {flags.page}")


if __name__ == "__main__":
    main()
