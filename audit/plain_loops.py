"""The notebooks' experiments as plain loops, over several seeds: where must a correct run lie?

    python audit/plain_loops.py            data/names.txt → audit/bands.json, in about
                                                   30 minutes of CPU time, two loops at once
    python audit/plain_loops.py LOOP ...   remakes what these functions give, and prints it

Nothing of the project is imported, so that a fault of the pipeline cannot make its own band. An
entry of bands.json has the name of a recipe, or another one for what no recipe gives, and the value
of each figure for each seed. Where chance plays a part there are at least five seeds, and a correct
run lies within three standard deviations of their mean. Otherwise there is one value, and a correct
run is within 0.0005 of it.
"""

import json
import math
import os
import random
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

# The same values on every x86-64 Linux machine with AVX2; torch reads these when it is imported.
os.environ.update(ATEN_CPU_CAPABILITY="avx2", MKL_CBWR="COMPATIBLE", ONEDNN_MAX_CPU_ISA="AVX2")
import torch
import torch.nn.functional as F

torch.set_num_threads(1)

Figures = dict[str, float]
Found = dict[str, Figures]  # by entry
Parameters = list[torch.Tensor]
Pair = tuple[torch.Tensor, torch.Tensor]  # contexts and targets
Loop = Callable[[], Found]
BigramLoss = Callable[[torch.Tensor], torch.Tensor]

RESULTS = Path(__file__).with_name("bands.json")
PROCESSES = 2
DECIMALS = 5
LETTERS = "abcdefghijklmnopqrstuvwxyz"
LECTURE_SEED, COURSE_SEED = 2147483647, 42  # of the starts of [001] and [002]
FEW, TEN, MANY = range(11, 16), range(11, 21), range(11, 31)  # seeds that no recipe has
HUNDRED = range(11, 111)
SYMBOLS_OF_003 = 50 + 217 + 73 + 278  # of its lists of names, each with its end
NOT_RANDOM = range(0)
NO_SEED = (0,)  # for loops that are not random
ABOUT = {
    "command": "python audit/plain_loops.py",
    "torch": torch.__version__.partition("+")[0],
    "threads": 1,
    "same_bytes": "x86-64 Linux with AVX2 and this torch; elsewhere long runs end at other values",
}


# --- data -------------------------------------------------------------------------------------


@cache
def names(part: str) -> list[str]:
    """Return `all` names, the first `five`, or a split as the lecture makes it.

    `unique train` is of a list without repeated names, `sorted train` of one that is not shuffled.
    """
    words = Path("data/names.txt").read_text().split()
    if part == "all":
        return words
    if part == "five":
        return words[:5]
    if part.startswith("unique"):
        words = list(dict.fromkeys(words))
    if not part.startswith("sorted"):
        random.Random(42).shuffle(words)
    n1, n2 = int(0.8 * len(words)), int(0.9 * len(words))
    parts = {"train": words[:n1], "dev": words[n1:n2], "test": words[n2:]}
    return parts[part.split()[-1]]


@cache
def examples(part: str, block_size: int = 3, symbols: int = 27) -> Pair:
    """Return contexts and targets; 27 symbols have one mark for both ends, 28 have two."""
    first_letter, start, end = (1, 0, 0) if symbols == 27 else (0, 26, 27)
    stoi = {letter: number for number, letter in enumerate(LETTERS, start=first_letter)}
    X, Y = [], []
    for word in names(part):
        context = [start] * block_size
        for number in [*(stoi[letter] for letter in word), end]:
            X.append(context)
            Y.append(number)
            context = [*context[1:], number]
    return torch.tensor(X), torch.tensor(Y)


def steps(losses: Sequence[float], first: int = 0) -> Figures:
    """Name the losses of some steps."""
    return {f"NLL at step {step}": loss for step, loss in enumerate(losses, start=first)}


# --- counts -----------------------------------------------------------------------------------


@cache
def pair_counts(part: str, symbols: int = 27) -> torch.Tensor:
    """Count the pairs of neighbouring symbols."""
    N = torch.zeros((symbols, symbols), dtype=torch.float64)
    X, Y = examples(part, 1, symbols)
    for first, second in zip(X[:, 0].tolist(), Y.tolist(), strict=True):
        N[first, second] += 1
    return N


def count_nll(train: str, scored: str, smoothing: float, symbols: int = 27) -> float:
    """Return the loss of names under the smoothed counts of others."""
    N = pair_counts(train, symbols) + smoothing
    P = N / N.sum(1, keepdim=True)
    X, Y = examples(scored, 1, symbols)
    return -P[X[:, 0], Y].log().mean().item()


def counts() -> Found:
    """Count pairs with several smoothings."""
    found = {
        f"smoothing-{smoothing:g}": {"dev NLL": count_nll("train", "dev", smoothing)}
        for smoothing in (0.01, 0.1, 0.3, 3, 10, 30, 100, 1000)
    }
    shared = {*names("unique train")} & {*names("unique dev")}
    return found | {
        "count-all-names": {
            "NLL": count_nll("all", "all", 0),
            "characters of train": len(examples("all")[1]),
        },
        "count-all-names-smoothed": {"NLL": count_nll("all", "all", 1)},
        "count-start-end": {
            "NLL": count_nll("all", "all", 1, symbols=28),
            "number of symbols": len(pair_counts("all", 28)),
        },
        "no-shuffle": {
            "counting bigram train NLL": count_nll("sorted train", "sorted train", 0.3),
            "counting bigram dev NLL": count_nll("sorted train", "sorted dev", 0.3),
        },
        "unique-names": {
            "share of dev names in train": len(shared) / len(names("unique dev")),
            "counting bigram dev NLL": count_nll("unique train", "unique dev", 1),
        },
    }


def from_start(context: list[int]) -> tuple[int, ...]:
    """Drop all but one of the dots before a name."""
    dots = next((i for i, symbol in enumerate(context) if symbol), len(context))
    return tuple(context[max(0, dots - 1) :])


class KneserNey:
    """Interpolated modified Kneser-Ney (Chen & Goodman 1998), with dictionaries."""

    def __init__(self, part: str, order: int) -> None:
        X, Y = examples(part, order - 1)
        whole = Counter(zip(map(from_start, X.tolist()), Y.tolist(), strict=True))
        follow: Counter[tuple[tuple[int, ...], int]] = Counter()
        self.after: dict[tuple[int, ...], dict[int, int]] = {}
        self.discounts: dict[int, list[float]] = {}
        for length in range(order - 1, -1, -1):
            # how many different symbols precede, or how often it occurs where none can
            follow = Counter((context[1:], symbol) for context, symbol in follow)
            follow.update({key: n for key, n in whole.items() if len(key[0]) == length})
            after: defaultdict[tuple[int, ...], dict[int, int]] = defaultdict(dict)
            for (context, symbol), count in follow.items():
                after[context][symbol] = count
            self.after |= after
            n = Counter(follow.values())
            try:
                Y1 = n[1] / (n[1] + 2 * n[2])
                taken = [i - (i + 1) * Y1 * n[i + 1] / n[i] for i in (1, 2, 3)]
            except ZeroDivisionError:  # few symbols, with large counts
                taken = [0.0, 0.0, 0.0]
            self.discounts[length] = [0.0, *(max(0.0, D) for D in taken)]

    def probability(self, context: tuple[int, ...], symbol: int) -> float:
        """Return the probability of a symbol after a context."""
        shorter = self.probability(context[1:], symbol) if context else 1 / 27
        if context not in self.after:
            return shorter
        after, D = self.after[context], self.discounts[len(context)]
        total = sum(after.values())
        taken = sum(D[min(count, 3)] for count in after.values())
        count = after.get(symbol, 0)
        return (count - D[min(count, 3)] + taken * shorter) / total

    def probabilities(self, part: str, order: int) -> list[float]:
        """Return the probability of each character of some names."""
        X, Y = examples(part, order - 1)
        pairs = zip(map(from_start, X.tolist()), Y.tolist(), strict=True)
        return [self.probability(context, symbol) for context, symbol in pairs]


def nll_of(probabilities: Iterable[float]) -> float:
    """Return the average negative log-likelihood."""
    return -fmean(math.log(p) for p in probabilities)


def kneser_ney() -> Found:
    """Count n-grams of orders 4 to 6."""
    found: Found = {}
    for order in (4, 5, 6):
        model = KneserNey("train", order)
        found[f"kneser-ney-{order}"] = {"n-gram dev NLL": nll_of(model.probabilities("dev", order))}
    found["kneser-ney-6"]["n-gram test NLL"] = nll_of(model.probabilities("test", 6))
    unique = KneserNey("unique train", 6).probabilities("unique dev", 6)
    return found | {"kneser-ney-6-unique": {"n-gram dev NLL": nll_of(unique)}}


# --- the neural bigram ------------------------------------------------------------------------


@cache
def one_hot(part: str, symbols: int = 27) -> Pair:
    """Return one-hot rows of the symbols, and those that follow."""
    X, Y = examples(part, 1, symbols)
    return F.one_hot(X[:, 0], num_classes=symbols).float(), Y


def row_loss(W: torch.Tensor, xenc: torch.Tensor, Y: torch.Tensor) -> torch.Tensor:
    """Return the loss of one weight matrix on one-hot rows."""
    counts = (xenc @ W).exp()
    probs = counts / counts.sum(1, keepdim=True)
    return -probs[torch.arange(len(Y)), Y].log().mean()


def loss_on(part: str, symbols: int = 27) -> BigramLoss:
    """Return the loss over one row per character, as the notebooks compute it."""
    return lambda W: row_loss(W, *one_hot(part, symbols))


def pair_loss(N: torch.Tensor) -> BigramLoss:
    """Return the same loss over the pairs, each weighted by how often it occurs.

    Only the order of the sums differs, and it is hundreds of times faster.
    """
    share = (N / N.sum()).float()
    return lambda W: -(share * (W.exp() / W.exp().sum(1, keepdim=True)).log()).sum()


def descend_bigram(
    W: torch.Tensor, loss: BigramLoss, steps: int, lr: float, l2: float = 0
) -> list[tuple[float, float]]:
    """Train on all rows at each step; return loss and objective before each update."""
    losses = []
    for _ in range(steps):
        nll = loss(W)
        objective = nll + l2 * (W**2).mean()
        losses.append((nll.item(), objective.item()))
        W.grad = None
        objective.backward()
        assert W.grad is not None
        W.data += -lr * W.grad
    return losses


def bigram_start(symbols: int = 27) -> torch.Tensor:
    """Draw a weight matrix."""
    return torch.randn((symbols, symbols), requires_grad=True)


def neural_ten_steps() -> Found:
    """Take ten steps on all names at three rates."""
    found: Found = {}
    for lr in (1, 10, 100):
        losses = [nll for nll, _ in descend_bigram(bigram_start(), loss_on("all"), 10, lr)]
        found[f"neural-rate-{lr}"] = steps(losses[:9]) | {"NLL at the 10th step": losses[9]}
    found["neural-rate-1"]["characters of train"] = len(examples("all")[1])
    return found


def hundred_steps(losses: Sequence[float]) -> Figures:
    """Choose the losses of 100 that are compared with those of [003]."""
    shown = (0, 1, 2, 3, 4, 9, 19, 29, 39, 49, 59, 69, 79, 89, 98)
    return {f"NLL at step {step}": losses[step] for step in shown} | {
        "NLL at the 100th step": losses[99]
    }


def neural_100_steps() -> Found:
    """Take 100 steps at rate 10 on all names, and on train."""
    losses = [nll for nll, _ in descend_bigram(bigram_start(), loss_on("all"), 100, 10)]
    W = bigram_start()
    split_losses = [nll for nll, _ in descend_bigram(W, loss_on("train"), 100, 10)]
    after = {f"{part} NLL": loss_on(part)(W).item() for part in ("dev", "test")}
    return {
        "neural-100-steps": hundred_steps(losses),
        "neural-100-steps-split": hundred_steps(split_losses) | after,
    }


def neural_penalties() -> Found:
    """Take 100 steps at rate 10 on train, with several penalties."""
    found: Found = {}
    for l2 in (1, 0.1, 0.01, 0.001, 0.0001):
        W = bigram_start()
        _, objective = descend_bigram(W, pair_loss(pair_counts("train")), 100, 10, l2)[99]
        dev = loss_on("dev")(W).item()
        found[f"neural-l2-{l2:g}"] = {"objective at the 100th step": objective, "dev NLL": dev}
    return found


def split_of_003() -> list[torch.Tensor]:
    """Return the row numbers of [003]'s train, valid and test, rebuilt from its one generator.

    torch.multinomial took a float64 number per symbol when the notebook was run.
    """
    generator = torch.Generator().manual_seed(LECTURE_SEED)
    torch.rand(3, generator=generator)  # three probabilities
    # 20 and 50 draws from these, a first letter, and four lists of ten names
    torch.rand(20 + 50 + 1 + SYMBOLS_OF_003, dtype=torch.float64, generator=generator)
    torch.randn((27, 27), generator=generator)
    torch.rand(71, dtype=torch.float64, generator=generator)  # five names of the trained matrix
    rows = torch.randperm(len(examples("all", 1)[1]), generator=generator)  # as random_split
    test, valid, train = rows.split([22_815, 22_815, 182_516])
    return [train, valid, test]


def examples_split() -> Found:
    """Take 100 steps at rate 10 on examples, not names, as [003]; without a penalty, and with 1."""
    X, Y = examples("all", 1)
    parts = split_of_003()
    train, valid, test = (
        torch.bincount(X[ix, 0] * 27 + Y[ix], minlength=27 * 27).view(27, 27) for ix in parts
    )
    W = bigram_start()
    last, _ = descend_bigram(W, pair_loss(train), 100, 10)[99]
    _, objective = descend_bigram(bigram_start(), pair_loss(train), 100, 10, 1)[99]
    of_parts = zip(("train", "valid", "test"), parts, strict=True)
    return {
        "neural-examples-split": {f"examples of {name}": len(ix) for name, ix in of_parts}
        | {
            "NLL at the 100th step": last,
            "valid - train": pair_loss(valid)(W).item() - last,
            "test - train": pair_loss(test)(W).item() - last,
            "objective at the 100th step, l2 1": objective,
        }
    }


def neural_summed_penalty() -> Found:
    """Add 0.01 times the sum of the squares of 28 x 28 weights, as [000] does."""
    losses = descend_bigram(bigram_start(28), loss_on("all", 28), 100, 1, 0.01 * 28 * 28)
    found = {f"objective at step {step}": losses[step - 1][1] for step in range(10, 101, 10)}
    return {"neural-summed-penalty": found | {"NLL at the 100th step": losses[99][0]}}


def neural_converged() -> Found:
    """Train to convergence at rate 50."""
    found: Found = {}
    for entry, count in (("neural-l2-200-steps", 200), ("neural-l2-converged", 2000)):
        W, loss = bigram_start(), pair_loss(pair_counts("all"))
        descend_bigram(W, loss, count, 50, 0.01)
        found[entry] = {"NLL": loss(W).item()}
        if count == 200:
            found[entry]["objective"] = (loss(W) + 0.01 * (W**2).mean()).item()
    W = bigram_start()
    descend_bigram(W, pair_loss(pair_counts("train")), 2000, 50)
    losses = {f"{part} NLL": loss_on(part)(W).item() for part in ("train", "dev")}
    return found | {"neural-converged": losses}


# --- the MLP ----------------------------------------------------------------------------------


def start(
    embedding: int,
    hidden: int,
    block_size: int = 3,
    symbols: int = 27,
    generator: torch.Generator | None = None,
) -> Parameters:
    """Draw C, W1, b1, W2 and b2, all N(0, 1)."""
    matrices = ((block_size * embedding, hidden), (hidden,), (hidden, symbols), (symbols,))
    shapes = ((symbols, embedding), *matrices)
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes]


def seeded_start(seed: int, hidden: int = 100) -> Parameters:
    """Draw embedding 2 with the seed that a notebook sets."""
    return start(2, hidden, generator=torch.Generator().manual_seed(seed))


def forward(parameters: Parameters, X: torch.Tensor) -> torch.Tensor:
    """Return the logits."""
    C, W1, b1, W2, b2 = parameters
    h = torch.tanh(C[X].view(len(X), -1) @ W1 + b1)
    return h @ W2 + b2


def descend(
    parameters: Parameters,
    data: Pair,
    rates: Sequence[float],
    batch_size: int | None = 32,
    is_zeroed: bool = True,
) -> list[float]:
    """Take one step per rate, over a random batch or all rows; return the losses before them."""
    X, Y = data
    losses = []
    for lr in rates:
        ix = torch.randint(0, len(X), (batch_size,)) if batch_size else slice(None)
        loss = F.cross_entropy(forward(parameters, X[ix]), Y[ix])
        losses.append(loss.item())
        if is_zeroed:
            for p in parameters:
                p.grad = None
        loss.backward()
        for p in parameters:
            assert p.grad is not None
            p.data += -lr * p.grad
    return losses


@torch.no_grad()
def full_nll(parameters: Parameters, part: str, block_size: int = 3, symbols: int = 27) -> float:
    """Return the loss over all examples."""
    X, Y = examples(part, block_size, symbols)
    return F.cross_entropy(forward(parameters, X), Y).item()


def both(parameters: Parameters, block_size: int = 3) -> Figures:
    """Return the losses on train and dev."""
    return {f"{part} NLL": full_nll(parameters, part, block_size) for part in ("train", "dev")}


def sizes(parameters: Parameters, part: str) -> Figures:
    """Count parameters and examples."""
    return {
        "number of parameters": sum(p.nelement() for p in parameters),
        "characters of train": len(examples(part)[1]),
    }


def five_names() -> Found:
    """Memorise five names from the starts of [001] and [002]."""
    X, Y = examples("five")
    found: Found = {}
    for entry, seed in (("five-names", LECTURE_SEED), ("five-names-seed-42", COURSE_SEED)):
        parameters = seeded_start(seed)
        losses = descend(parameters, (X, Y), [0.1] * 1000, batch_size=None)
        logits = forward(parameters, X)
        of_each = F.cross_entropy(logits, Y, reduction="none")
        place = [number for name in names("five") for number in range(len(name) + 1)]
        found[entry] = sizes(parameters, "five") | {
            "NLL at step 0": losses[0],
            "NLL at step 999": losses[999],
            "NLL after 1000 steps": full_nll(parameters, "five"),
            "share whose arg max is the target": (logits.argmax(1) == Y).float().mean().item(),
        }
        if seed == LECTURE_SEED:
            for number, which in enumerate(("first", "second")):
                found[entry][f"NLL of the {which} letters"] = fmean(
                    loss for loss, at in zip(of_each.tolist(), place, strict=True) if at == number
                )
        else:
            found["five-names-20-steps"] = steps(losses[:20])
    return found


def full_batches() -> Found:
    """Take ten steps over all names from the start of [001]."""
    found: Found = {}
    for lr in (0.1, 0.01):
        parameters = seeded_start(LECTURE_SEED)
        losses = descend(parameters, examples("all"), [lr] * 10, batch_size=None)
        after = sizes(parameters, "all") | {"NLL after 10 steps": full_nll(parameters, "all")}
        found[f"full-batch-rate-{lr}"] = (steps(losses) if lr == 0.1 else {}) | after
    return found


def short_runs() -> Found:
    """Take 1,000 steps of embedding 2, hidden 100, at several rates and batch sizes."""
    found: Found = {}
    for batch_size in (32, 64):
        parameters = start(2, 100)
        losses = descend(parameters, examples("all"), [0.1] * 1000, batch_size)
        found[f"mini-batch-{batch_size}"] = {"NLL after 1000 steps": full_nll(parameters, "all")}
        if batch_size == 32:
            found["mini-batch-32"]["mean batch NLL of the last 100 steps"] = fmean(losses[-100:])
    for lr in (0.001, 0.01, 0.09, 1, 10):
        parameters = start(2, 100)
        descend(parameters, examples("train"), [lr] * 1000)
        found[f"rate-{lr:g}"] = {"dev NLL": full_nll(parameters, "dev")}
    return found


def mlp_2_100() -> Found:
    """Train embedding 2, hidden 100 for 100,000 steps, on train and on all names."""
    rates = [0.1] * 50_000 + [0.01] * 50_000
    parameters = start(2, 100)
    descend(parameters, examples("train"), rates)
    found = {"mlp-2-100": both(parameters)}
    parameters = start(2, 100)
    descend(parameters, examples("all"), rates)
    return found | {"mlp-2-100-all": {"NLL": full_nll(parameters, "all")}}


def mlp_2_300() -> Found:
    """Train embedding 2, hidden 300: 30,000 steps at 0.1, 20,000 more, and 50,000 at 0.01."""
    parameters = start(2, 300)
    data = examples("train")
    descend(parameters, data, [0.1] * 30_000)
    found = {"mlp-2-300-short": both(parameters) | sizes(parameters, "train")}
    descend(parameters, data, [0.1] * 20_000 + [0.01] * 50_000)
    return found | {"mlp-2-300": both(parameters)}


def decay_2_300() -> Found:
    """Train the same with three rates, as [004], which only says how many steps the first had."""
    parameters = start(2, 300)
    data = examples("train")
    descend(parameters, data, [0.1] * 30_000 + [0.05] * 150_000)
    found = {f"{key} after 0.05": value for key, value in both(parameters).items()}
    descend(parameters, data, [0.01] * 50_000)
    return {"decay-2-300": found | both(parameters)}


def mlp_10_200() -> Found:
    """Train embedding 10, hidden 200: 50,000 steps at 0.1, and then in two ways.

    One has 50,000 more at 0.01, as [002] and [004], and another 50,000; the other is the lecture's
    last recipe, 100,000 at either rate.
    """
    parameters = start(10, 200)
    data = examples("train")
    before = {"dev NLL at step 0": full_nll(parameters, "dev")}
    descend(parameters, data, [0.1] * 20_000)
    found = {"start-lecture": before | {"dev NLL": full_nll(parameters, "dev")}}
    descend(parameters, data, [0.1] * 30_000)
    found["mlp-10-200-constant"] = both(parameters)
    longer = [p.detach().clone().requires_grad_() for p in parameters]
    descend(parameters, data, [0.01] * 50_000)
    found["mlp-10-200"] = both(parameters) | sizes(parameters, "train")
    descend(parameters, data, [0.01] * 50_000)
    found["decay-10-200"] = both(parameters)
    descend(longer, data, [0.1] * 50_000 + [0.01] * 100_000)
    found["lecture"] = both(longer)
    return found


def mlp_10_300() -> Found:
    """Train embedding 10, hidden 300 for 100,000 steps."""
    parameters = start(10, 300)
    descend(parameters, examples("train"), [0.1] * 50_000 + [0.01] * 50_000)
    return {"mlp-10-300": both(parameters)}


def scaled_start() -> Parameters:
    """Draw embedding 10, hidden 200 so that the first guess is close to uniform."""
    C, W1, b1, W2, b2 = start(10, 200)
    W1.data *= 5 / 3 / len(W1) ** 0.5
    W2.data *= 0.01
    b1.data *= 0
    b2.data *= 0
    return [C, W1, b1, W2, b2]


def start_scaled() -> Found:
    """Train embedding 10, hidden 200 for 20,000 steps from a scaled start."""
    parameters = scaled_start()
    before = {"dev NLL at step 0": full_nll(parameters, "dev")}
    descend(parameters, examples("train"), [0.1] * 20_000)
    return {"start-scaled": before | {"dev NLL": full_nll(parameters, "dev")}}


def rate_search() -> Found:
    """Raise the rate from 0.001 to 1 in 1,000 steps; the valley of the losses, smoothed."""
    exponents = torch.linspace(-3, 0, 1000).tolist()
    rates = [10**exponent for exponent in exponents]
    starts = {"rate-search": start(2, 100), "rate-search-of-002": seeded_start(COURSE_SEED)}
    found: Found = {}
    for entry, parameters in starts.items():
        losses = descend(parameters, examples("all"), rates)
        smooth = [fmean(losses[max(0, i - 75) : i + 75]) for i in range(len(losses))]
        exponent = exponents[smooth.index(min(smooth))]
        valley = {"exponent of ten of the rate": exponent, "rate": 10**exponent}
        batches = {f"batch NLL at step {step}": losses[step] for step in range(20)}
        found[entry] = (batches if entry == "rate-search" else {}) | valley
    return found


# --- AdamW ------------------------------------------------------------------------------------


def one_cycle(step: int, steps: int) -> float:
    """Return the share of the highest rate: up for a tenth of the steps, down along a cosine."""
    up = steps / 10
    if step < up:
        return (step + 1) / (up + 1)
    return (1 + math.cos(math.pi * (step - up) / (steps - up))) / 2


def one_cycle_runs() -> Found:
    """Train the lecture's shape with AdamW in few steps."""
    X, Y = examples("train")
    found: Found = {}
    for count, lr in ((3000, 0.02), (600, 0.03)):
        parameters = scaled_start()
        optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=0.01)
        for step in range(count):
            optimizer.param_groups[0]["lr"] = lr * one_cycle(step, count)
            ix = torch.randint(0, len(X), (1024,))
            optimizer.zero_grad()
            F.cross_entropy(forward(parameters, X[ix]), Y[ix]).backward()
            optimizer.step()
        found[f"one-cycle-{count}"] = both(parameters)
    del found["one-cycle-600"]["train NLL"]
    return found


# --- what no recipe gives ---------------------------------------------------------------------


def untrained() -> Found:
    """Compute losses of random parameters, and take [003]'s two steps by hand on emma."""
    xenc, ys = (tensor[:5] for tensor in one_hot("five"))
    xenc_28, ys_28 = (tensor[:5] for tensor in one_hot("five", 28))
    X, Y = examples("five")
    W = bigram_start()
    first, second, third = (
        nll for nll, _ in descend_bigram(W, lambda W: row_loss(W, xenc, ys), 3, 0.1)
    )
    mixed = [seeded_start(COURSE_SEED)[0], *start(2, 100)[1:]]
    of_emma = start(2, 100, symbols=28)
    contexts, targets = (tensor[:5] for tensor in examples("five", 3, 28))
    return {
        "untrained": {
            "27 x 27 weights, emma": first,
            "27 x 27 weights, emma, after one step": second,
            "drop of the first step": first - second,
            "27 x 27 weights, emma, after two steps": third,
            "drop of the second step": second - third,
            "mean square of the weights": (W**2).mean().item(),
            "28 x 28 weights, emma": row_loss(bigram_start(28), xenc_28, ys_28).item(),
            "MLP, 28 symbols, emma": F.cross_entropy(forward(of_emma, contexts), targets).item(),
            "MLP, five names": F.cross_entropy(forward(start(2, 100), X), Y).item(),
            "MLP, five names, C of seed 42": F.cross_entropy(forward(mixed, X), Y).item(),
        }
    }


def start_end_steps() -> Found:
    """Take the steps of [000]: ten over all names at 0.01, ten at 0.1, then 1,000 over 64."""
    data = examples("all", 3, 28)
    parameters = start(2, 100, symbols=28)
    losses = descend(parameters, data, [0.01] * 10, batch_size=None)
    found = {"full-batch-start-end": steps(losses) | {"drop": losses[0] - losses[9]}}
    losses = descend(parameters, data, [0.1] * 10, batch_size=None)
    batches = descend(parameters, data, [0.1] * 1000, batch_size=64)
    return found | {
        "start-end-steps": steps(losses, first=11)
        | {f"batch {step}": batches[step - 1] for step in range(100, 1001, 100)}
        | {"NLL after the batches": full_nll(parameters, "all", symbols=28)}
    }


def never_zeroed() -> Found:
    """Take 100 steps over 32 examples from the start of [001], with gradients that add up."""
    parameters = seeded_start(LECTURE_SEED)
    batches = descend(parameters, examples("all"), [0.1] * 100, is_zeroed=False)
    zeroed = seeded_start(LECTURE_SEED)
    descend(zeroed, examples("all"), [0.1] * 100)
    shown = {f"batch {number}": batches[number - 1] for number in (*range(1, 7), 52, 53)}
    after = {
        "NLL of all names": full_nll(parameters, "all"),
        "the same, zeroed": full_nll(zeroed, "all"),
    }
    return {"never-zeroed": shown | after}


def batches_of_32() -> Found:
    """Take 20 steps over 32 examples of all names from the starts of [002]."""

    def first_20(parameters: Parameters, lr: float) -> Figures:
        losses = descend(parameters, examples("all"), [lr] * 20)
        return {f"batch {number}": loss for number, loss in enumerate(losses, start=1)}

    memorised = seeded_start(COURSE_SEED)
    descend(memorised, examples("five"), [0.1] * 1000, batch_size=None)
    found = {"after-five-names": first_20(memorised, 0.1)}
    for lr in (0.1, 1, 0.001, 0.09):
        found[f"rate-series-{lr:g}"] = first_20(seeded_start(COURSE_SEED), lr)
    return found | {"rate-series-300": first_20(seeded_start(COURSE_SEED, 300), 0.1)}


def batch_tails() -> Found:
    """Find how often one batch of the first 20 is far from the mean, in 1,000 series of [002]."""
    series = []
    for seed in range(1000):
        torch.manual_seed(seed)
        series.append(descend(seeded_start(COURSE_SEED, 300), examples("all"), [0.1] * 20))
    losses = torch.tensor(series, dtype=torch.float64)
    z = (losses - losses.mean(0)) / losses.std(0)
    outside, above = (found.any(1).double().mean().item() for found in (z.abs() > 3, z > 4))
    return {
        "rate-series-300-tails": {
            "share of series with a batch outside 3 SD": outside,
            "share of series with a batch above 4 SD": above,
            "mean of batch 13": losses[:, 12].mean().item(),
            "standard deviation of batch 13": losses[:, 12].std().item(),
        }
    }


# --- all of them ------------------------------------------------------------------------------

LOOPS: dict[Loop, Sequence[int]] = {  # and their seeds; the longest first
    mlp_10_200: FEW,
    decay_2_300: FEW,
    mlp_2_300: FEW,
    mlp_10_300: FEW,
    mlp_2_100: TEN,
    neural_100_steps: FEW,
    start_end_steps: FEW,
    one_cycle_runs: FEW,
    neural_summed_penalty: FEW,
    start_scaled: FEW,
    neural_converged: FEW,
    neural_ten_steps: FEW,
    neural_penalties: MANY,
    examples_split: MANY,
    short_runs: MANY,
    rate_search: MANY,
    never_zeroed: MANY,
    batches_of_32: MANY,
    batch_tails: NOT_RANDOM,  # it has its own seeds
    untrained: HUNDRED,
    kneser_ney: NOT_RANDOM,
    counts: NOT_RANDOM,
    full_batches: NOT_RANDOM,
    five_names: NOT_RANDOM,
}


def run(loop: Loop, seed: int) -> Found:
    """Run a loop with its draws from one seed."""
    torch.manual_seed(seed)
    return loop()


def summary(values: list[float]) -> dict[str, object]:
    """Return mean, standard deviation and values of a figure."""
    values = [round(value, DECIMALS) for value in values]
    mean = values[0] if len({*values}) == 1 else round(fmean(values), DECIMALS)
    found: dict[str, object] = {"mean": mean}
    if len(values) > 1:
        found["sd"] = round(stdev(values), DECIMALS)
    return found | {"values": values}


def entries(loops: Iterable[Loop]) -> dict[str, dict[str, Any]]:
    """Run some loops and return their entries, by name."""
    found: dict[str, dict[str, Any]] = {}
    with ProcessPoolExecutor(PROCESSES) as pool:
        runs = {
            loop: [pool.submit(run, loop, seed) for seed in LOOPS[loop] or NO_SEED]
            for loop in loops
        }
        for loop, submitted in runs.items():
            of_each_seed = [future.result() for future in submitted]
            for name, figures in of_each_seed[0].items():
                found[name] = {
                    "command": f"python audit/plain_loops.py {loop.__name__}",
                    "seeds": [*LOOPS[loop]],
                    "figures": {
                        figure: summary([one[name][figure] for one in of_each_seed])
                        for figure in figures
                    },
                }
            print(f"{loop.__name__}: {', '.join(of_each_seed[0])}", file=sys.stderr)
    return found


def text_of(content: dict[str, dict[str, Any]]) -> str:
    """Return JSON with one line per figure."""
    text = json.dumps(dict(sorted(content.items())), indent=1)
    for inner in (r"\[\s[^]]*\]", r"\{\n {4}[^}]*\}"):  # lists, then figures
        text = re.sub(inner, lambda found: json.dumps(json.loads(found[0])), text)
    return f"{text}\n"


def main() -> None:
    known = {loop.__name__: loop for loop in LOOPS}
    chosen = sys.argv[1:] or [*known]
    if unknown := {*chosen} - {*known}:
        sys.exit(f"plain_loops: no loop {', '.join(unknown)}; known: {', '.join(known)}")
    found = entries(known[name] for name in known if name in chosen)
    kept = json.loads(RESULTS.read_text()) if sys.argv[1:] and RESULTS.exists() else {}
    RESULTS.write_text(text_of(kept | {"about": ABOUT} | found))
    for name, entry in found.items():
        for figure, of in entry["figures"].items():
            spread = f" ± {of['sd']:.4f}" if "sd" in of else ""
            print(f"{name}, {figure}: {of['mean']:.4f}{spread}")


if __name__ == "__main__":
    main()
