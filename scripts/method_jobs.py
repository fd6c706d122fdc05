"""The jobs of method_table.py: one common job, and every method and claim as changes of it."""

import copy
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "models/stories260k"
LEXICON = {"kind": "lexicon", "path": str(ROOT / "recipes/data/vader_lexicon.tsv")}
LENGTH = {"kind": "length"}  # shorter is better


def merged(base, changes):
    """`base` with the values of `changes`, blocks merged key by key."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


# ---- The common job, and the methods as changes of it

# The shipped model rarely ends a story within the budget: it is first fine-tuned on short ones.
FINE_TUNING = {
    "name": "fine-tuning", "algorithm": "iterative_dpo", "seed": 1,
    "model": {"path": str(MODEL)}, "oracle": LEXICON, "rounds": 1, "prompts_per_round": 758,
    "sampling": {"num_generations": 2, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 96},
    "pairing": {"strategy": "teacher_wins", "include_gold": True, "max_pairs_per_prompt": 1},
    "objective": {"loss_type": "sft"},
    "training": {"learning_rate": 1e-3, "per_device_train_batch_size": 16,
                 "gradient_accumulation_steps": 1, "num_train_epochs": 2},
    "evaluation": {"holdout_prompts": 1}}

COMMON = {
    "name": "method", "algorithm": "iterative_dpo", "oracle": LEXICON,
    "rounds": 3, "prompts_per_round": 64,
    "sampling": {"num_generations": 4, "temperature": 1.0, "top_p": 1.0, "max_new_tokens": 96},
    "pairing": {"strategy": "best_worst"},
    "objective": {"loss_type": "sigmoid", "beta": 0.1, "reference": "previous_round"},
    "training": {"learning_rate": 2e-4, "per_device_train_batch_size": 16,
                 "gradient_accumulation_steps": 1, "num_train_epochs": 1},
    "evaluation": {"holdout_prompts": 256}, "checkpoint": {"save_total_limit": 1}}

# Written by method_table.py beside its results.
DOMAINS = "two_domains.jsonl"

# The settings were chosen with seeds 1 to 8.
TABLE_SEEDS = (11, 12)


def loss(*types, **options):
    return {"objective": {"loss_type": list(types), **options}}


def pairing(strategy, **options):
    return {"pairing": {"strategy": strategy, **options}}


def group(*types, **options):
    return loss(*types, **options) | pairing("group")


def free(*types, **options):
    return loss(*types, reference="none", **options)


def modpo(weight, *types):
    """Weight `weight` for the lexicon; ten tokens of length weigh as much as one unit of it."""
    auxiliary = {"oracle": LENGTH, "weight": round(0.1 * (1 - weight), 6)}
    return loss(*(types or ("modpo",)), modpo_weight=weight) | {"auxiliary_oracles": [auxiliary]}


def lora():
    """Of every linear weight; adapters take larger steps."""
    return {"training": {"learning_rate": 2e-3, "lora": {"r": 8, "lora_alpha": 16}}}


def opponent(kind):
    return {"sampling": {"opponent": kind, "num_generations": 2}} | pairing("online")


GOLD = {"include_gold": True}
# Best against worst sample; gold is there beside them.
STUDENTS_AND_GOLD = pairing("all_pairs", max_pairs_per_prompt=1, sources=["student_student"],
                            **GOLD)

# Family, then (method, what differs from DPO, in words where the changes do not say it, changes).
METHODS = {
    "Pairs, with a reference": [
        ("DPO", "the common job", {}),
        ("DPO, initial reference", "", {"objective": {"reference": "initial"}}),
        ("DPO, no reference", "", {"objective": {"reference": "none"}}),
        ("TR-DPO", "", {"objective": {"reference": "mixed"}}),
        ("cDPO", "", {"objective": {"label_smoothing": 0.1}}),
        ("robust DPO", "", loss("robust", label_smoothing=0.1)),
        ("DNO, Algorithm 1", "a random pair of candidates a prompt",
         loss("dno") | pairing("random")),
        ("DNO, all pairs", "six times the pairs an update",
         loss("dno") | pairing("all_pairs") | {"training": {"gradient_accumulation_steps": 6}}),
        ("IPO, per token", "", loss("ipo", beta=1.0)),
        ("IPO", "", loss("ipo_sum")),
        ("hinge", "", loss("hinge")),
        ("DPO, length-normalised", "", loss("sigmoid_norm", beta=2.0)),
        ("EXO, pairs", "", loss("exo_pair", label_smoothing=0.001)),
        ("EXO-pref", "", loss("exo_pref")),
        ("NCA, pairs", "", loss("nca_pair")),
        ("BCO, pairs", "", loss("bco_pair")),
        ("SPPO, hard", "", loss("sppo_hard", beta=0.001)),
        ("SPPO", "", loss("sppo", beta=0.001)),
        ("SPPO, single", "", loss("sppo_single", beta=0.001)),
        ("AOT", "", loss("aot")),
        ("APO-zero", "", loss("apo_zero")),
        ("APO-down", "", loss("apo_down")),
        ("DiscoPOP", "its loss rises with h at h = 0", loss("discopop")),
        ("DPO-Positive", "", loss("dpop")),
        ("R-DPO", "", loss("r_dpo")),
        ("LD-DPO", "", {"objective": {"ld_alpha": 0.5}}),
        ("SamPO", "", {"objective": {"sampo": True}}),
        ("WPO", "", {"objective": {"use_weighting": True}}),
        ("f-DPO, forward KL", "", {"objective": {"f_divergence_type": "forward_kl"}}),
        ("f-DPO, JS", "", {"objective": {"f_divergence_type": "js_divergence"}}),
        ("f-DPO, alpha", "", {"objective": {"f_divergence_type": "alpha_divergence"}}),
        ("TDPO1", "", loss("tdpo1")),
        ("TDPO2", "", loss("tdpo2")),
        ("ADPO, pairs", "", loss("adpo_pairwise")),
        ("RPO", "", loss("sigmoid", "sft", loss_weights=[1, 1])),
        ("MPO", "", loss("sigmoid", "bco_pair", "sft", loss_weights=[0.8, 0.2, 1])),
    ],
    "Pairs, without a reference": [
        ("SimPO", "", free("simpo", beta=2.0)),
        ("SimPO, hinge", "", free("simpo_hinge", beta=2.0)),
        ("AlphaPO", "", free("alphapo", beta=2.0, alphapo_alpha=0.25)),
        ("CPO", "", free("cpo", "sft")),
        ("CPO, hinge", "", free("cpo_hinge", "sft")),
        ("CPO, IPO", "", free("cpo_ipo", "sft", beta=1.0)),
        ("SLiC-HF", "", free("slic", "sft", beta=1.0)),
        ("ORPO", "", free("orpo", "sft")),
        ("TPO", "", free("cpo", "sft_gold") | STUDENTS_AND_GOLD),
        ("TPO-L", "", free("simpo", "sft_gold", beta=2.0) | STUDENTS_AND_GOLD),
        ("best of 4, fine-tuned on", "", free("sft")),
    ],
    "Single responses": [
        ("KTO", "", loss("kto")),
        ("BCO", "", loss("bco")),
        ("APO-zero, unpaired", "", loss("apo_zero_unpaired")),
        ("AOT, unpaired", "", loss("aot_unpaired")),
        ("DDO", "chosen responses stand in for data: the same as BCO on pairs", loss("ddo")),
    ],
    "Lists of all 4 candidates": [
        ("InfoNCA", "", group("infonca")),
        ("NCA", "", group("nca")),
        ("EXO", "", group("exo")),
        ("ADPO", "", group("adpo")),
        ("ADPO, Plackett-Luce", "", group("adpo_plackett_luce")),
        ("IRPO", "", group("irpo", beta=1.0)),
        ("LiPO-lambda", "", group("lipo_lambda")),
    ],
    "Adapters": [
        ("DPO, LoRA", "", lora()),
        ("OFS-DPO", "", merged(lora(), loss("ofs_dpo"))),
        ("OFS-DPO, no chase", "two adapters that do not meet",
         merged(lora(), loss("ofs_dpo", fast_slow_alpha=0))),
    ],
    "More than one oracle, condition or policy": [
        ("MODPO", "second oracle: short", modpo(0.5)),
        ("MODPO, hinge", "second oracle: short", modpo(0.5, "modpo_hinge")),
        ("MCM-DPO", "corrupted: another story's prompt", loss("mcm_dpo")),
        ("Re-Align", "corrupted: another story's prompt", loss("realign")),
        ("XPO", "half the samples", loss("xpo", reference="initial") | opponent("initial")),
        ("XPO, IPO", "half the samples",
         loss("xpo_ipo", reference="initial") | opponent("initial")),
        ("Nash-MD", "half the samples",
         loss("nash_md", reference="initial") | opponent("mixture")),
        ("SPIN", "", loss("spin") | pairing("teacher_wins", max_pairs_per_prompt=1, **GOLD)),
    ],
    "Pairing rules, with the loss of DPO": [
        ("DNO-Prct", "", pairing("large_margin", min_margin=1.0, max_pairs_per_prompt=1)),
        ("DNO-Prct, gold, replay", "replay makes it 18 updates",
         pairing("large_margin", min_margin=1.0, replay=[0.3, 0.15], max_pairs_per_prompt=1,
                 **GOLD)),
        ("best against worst win rate", "an oracle of scores orders both alike",
         pairing("win_rate")),
        ("all pairs", "six times the pairs an update",
         pairing("all_pairs") | {"training": {"gradient_accumulation_steps": 6}}),
        ("best against a random other", "", pairing("max_random")),
        ("best against the first other", "", pairing("best_first")),
        ("best against second", "", pairing("max_max")),
        ("random pair", "", pairing("random")),
        ("online DPO", "half the samples",
         {"sampling": {"num_generations": 2}, "objective": {"reference": "initial"}} |
         pairing("online", tie_policy="first")),
        ("length penalty", "", pairing("best_worst", length_penalty=0.02)),
        ("CHES filter", "half the pairs of twice the prompts",
         pairing("best_worst", ches_percentile=50) | {"prompts_per_round": 128}),
    ],
}


# ---- The claims


class Claim:
    """Arms, each a change of the common job, and which of them a paper says comes out ahead."""

    def __init__(self, title, text, seeds, arms, comparisons):
        self.title, self.text, self.seeds = title, text, seeds
        self.arms = arms  # {label: changes}
        # (label, other label, column, +1: the claim puts label above, -1: below, 0: it is silent)
        self.comparisons = comparisons


def noise_claim():
    arms, comparisons = {}, []
    for rate in (20, 30, 40):
        noise = {"oracle": {"flip_rate": rate / 100}}
        dpo, lists, pairs = f"DPO, {rate} %", f"ADPO, lists, {rate} %", f"ADPO, pairs, {rate} %"
        arms |= {dpo: noise, lists: merged(noise, group("adpo")),
                 pairs: merged(noise, loss("adpo_pairwise"))}
        comparisons += [(lists, dpo, "win_rate", 1), (pairs, dpo, "win_rate", 1)]
    return Claim(
        "ADPO is better than DPO under flipped labels",
        "Wang 2025 (arXiv:2510.18913). `oracle.flip_rate` turns the scores of that share of the "
        "training prompts around; evaluation is without noise. ADPO learns from the list of all "
        "four candidates, DPO from the best and the worst of them; updates have 16 lists or 16 "
        "pairs, so that ADPO's take twice the responses. ADPO on pairs has the same pairs as DPO, "
        "with soft targets. (Four epochs a round, and a `score_temperature` of 4, were tried on "
        "seeds 1 to 3 and did not put ADPO above DPO.)",
        range(11, 16), arms, comparisons)


def displacement_claim():
    lone = {"rounds": 1, "prompts_per_round": 125, "training": {"learning_rate": 4e-4}}

    def ches(prompts, percentile):
        return merged(lone, {"prompts_per_round": prompts,
                             "pairing": {"ches_percentile": percentile}})

    def sft(weight):
        return merged(lone, loss("sigmoid", "sft", loss_weights=[1, weight]))

    return Claim(
        "CHES filtering and the sft mixture displace less",
        "Razin et al. 2024 (arXiv:2410.08847): DPO lowers the likelihood of chosen responses as "
        "well, less so on pairs of low CHES score or with a likelihood term. One round of about "
        "125 pairs, learning rate 4e-4. (With four epochs on the same pairs chosen responses "
        "become more likely under every arm: nothing is displaced.) The filtered arms keep the "
        "lowest half or quarter of two or four times the prompts, so that all arms train on as "
        "many pairs. Displacement is that of the arm's own pairs; since a short response has less "
        "to lose, it is also given per 100 tokens of the chosen responses.",
        range(11, 16),
        {"DPO": lone, "CHES, half": ches(250, 50), "CHES, quarter": ches(500, 25),
         "DPO + 0.1 sft": sft(0.1), "DPO + sft": sft(1)},
        [(label, "DPO", column, 1) for column in ("displacement", "displacement_100")
         for label in ("CHES, half", "CHES, quarter", "DPO + 0.1 sft", "DPO + sft")])


def forgetting_claim():
    def sequential(domains_dataset, *types, **options):
        return merged(lora(), {
            "algorithm": "offline_dpo", "dataset": {"path": domains_dataset}, "rounds": 2,
            "prompts_per_round": 112, "curriculum": {"mixing": "sequential"},
            "training": {"num_train_epochs": 3}, "evaluation": {"holdout_prompts": 8},
            "objective": {"loss_type": list(types), **options}})

    return Claim(
        "COFS-DPO forgets less over two domains",
        "Qi et al. 2024. One round on pairs of assistants' answers, then one on pairs of answers "
        "to grade-school problems (recipes/data/two_domains.jsonl). Margin is the mean over 40 "
        "held-out pairs of the first domain of the log-probability of the chosen minus that of the "
        "rejected response, and how much of it each job added to the model it began with: none of "
        "them learns what would carry over to held-out pairs, so that there is little to forget.",
        range(11, 16),
        {"DPO, LoRA": sequential(DOMAINS, "sigmoid"), "OFS-DPO": sequential(DOMAINS, "ofs_dpo"),
         "COFS-DPO": sequential(DOMAINS, "ofs_dpo", domain_memory=16)},
        [("COFS-DPO", "OFS-DPO", "first_domain", 1), ("COFS-DPO", "DPO, LoRA", "first_domain", 1)])


def claims():
    prct = pairing("large_margin", min_margin=1.0, max_pairs_per_prompt=1)
    offline = prct | {"rounds": 1, "prompts_per_round": 192}
    more_epochs = merged(offline, {"training": {"num_train_epochs": 3}})
    anchored = {"objective": {"reference": "initial"}, "training": {"learning_rate": 4e-4}}
    return [
        Claim("DNO-Prct is above one-shot offline DPO",
              "Rosset et al. 2024 (arXiv:2404.03715). DNO-Prct samples 64 prompts in each of three "
              "rounds; offline DPO samples the same 192 prompts from the initial policy and makes "
              "its pairs by the same rule, in one round. With one epoch both have the same number "
              "of updates; the last arm gives offline DPO three times as many.",
              range(11, 16),
              {"DNO-Prct": prct, "offline DPO": offline, "offline DPO, 3 epochs": more_epochs},
              [("DNO-Prct", "offline DPO", "win_rate", 1),
               ("DNO-Prct", "offline DPO, 3 epochs", "win_rate", 1)]),
        Claim("LD-DPO is shorter than DPO",
              "Liu et al. 2024. The lexicon adds up over words, so that longer responses win more "
              "often and DPO makes them longer. `ld_alpha` is the weight of the tokens of the "
              "longer response beyond the length of the shorter. (After two rounds there was no "
              "difference on seeds 1 to 8.)",
              range(11, 19),
              {"DPO": {}, "LD-DPO, 0.5": {"objective": {"ld_alpha": 0.5}},
               "LD-DPO, 0": {"objective": {"ld_alpha": 0.0}}},
              [("LD-DPO, 0.5", "DPO", "length", -1), ("LD-DPO, 0", "DPO", "length", -1)]),
        displacement_claim(),
        noise_claim(),
        Claim("Forward KL and JS are more diverse than reverse KL",
              "Wang et al. 2023 (arXiv:2309.16240). Diversity is distinct-2. The reference is the "
              "initial policy and the learning rate 4e-4: with the reference of the common job the "
              "log-ratios begin at 0 in every round, where the divergences are alike. (At 2e-4 "
              "forward KL was ahead as well, JS was not.) Diversity falls as the win rate rises: "
              "reverse KL at 2e-4, added once the others were seen, says how diverse it is at a "
              "win rate like theirs.",
              range(11, 16),
              {"reverse KL": anchored, "reverse KL, 2e-4": {"objective": {"reference": "initial"}},
               "forward KL": merged(anchored, {"objective": {"f_divergence_type": "forward_kl"}}),
               "JS": merged(anchored, {"objective": {"f_divergence_type": "js_divergence"}})},
              [(label, other, "distinct_2", 1) for other in ("reverse KL", "reverse KL, 2e-4")
               for label in ("forward KL", "JS")] +
              [(label, other, "win_rate", 0) for other in ("reverse KL", "reverse KL, 2e-4")
               for label in ("forward KL", "JS")]),
        Claim("MODPO traces a front between two oracles",
              "Zhou et al. 2023. Pairs are ordered by the lexicon; the second oracle wants short "
              "responses, ten tokens weighing as much as one unit of the lexicon. The front shows "
              "if the weights 0.1 and 0.9 of the lexicon end apart in both oracles, each ahead in "
              "its own.",
              range(11, 16),
              {f"w = {weight}": modpo(weight) for weight in (0.1, 0.3, 0.5, 0.7, 0.9)},
              [("w = 0.9", "w = 0.1", "score", 1), ("w = 0.1", "w = 0.9", "length", -1)]),
        Claim("OFS-DPO is at least DPO in its domain",
              "Qi et al. 2024. Both train adapters of rank 8, with learning rate 2e-3.",
              range(11, 16),
              {"DPO, LoRA": lora(), "OFS-DPO": merged(lora(), loss("ofs_dpo"))},
              [("OFS-DPO", "DPO, LoRA", "win_rate", 1)]),
        forgetting_claim(),
    ]
