"""Checks of the exercises in labs/1_bigrams: they tell right from wrong, and not the answer."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from labs.support import is_empty, verdict

TOLERANCE = 1e-3  # of a loss, for sums in float32 and numbers typed with four digits
SHARES = (0.8, 0.1, 0.1)  # of train, dev and test
LARGE = 200.0  # a logit whose exp is infinite in float32

Loss = Callable[[list[str], list[str], float], float]


def count_grams(names: list[str], length: int) -> Counter[str]:
    """Return how often each text of this length occurs; dots precede a name, and one follows it.

    >>> count_grams(["ab"], 3)
    Counter({'..a': 1, '.ab': 1, 'ab.': 1})
    """
    padded = ("." * (length - 1) + f"{name}." for name in names)
    return Counter(text[i : i + length] for text in padded for i in range(len(text) - length + 1))


def count_loss(counts: Counter[str], scored: Counter[str], k: float, symbols: int) -> float:
    """Return the NLL per character of texts under the counts of others, plus k.

    Args:
        counts: of the names to learn from.
        scored: of the names to score; texts of the same length.
        k: added to every count.
        symbols: size of the alphabet, with the dot.
    """
    totals: Counter[str] = Counter()
    for gram, count in counts.items():
        totals[gram[:-1]] += count
    total = sum(
        count * math.log((counts[gram] + k) / (totals[gram[:-1]] + k * symbols))
        for gram, count in scored.items()
    )
    return -total / scored.total()


def compare(answer: float, expected: float) -> str | None:
    """Return whether a number is too high or too low; None if it is right."""
    if not math.isfinite(answer):
        return f"the result is {answer}"
    if abs(answer - expected) <= TOLERANCE:
        return None
    return f"{answer:.4f} is too {'high' if answer > expected else 'low'}"


def first_letter(probability: float | None, names: list[str], letter: str) -> None:
    """Check exercise 1: the probability that a name begins with a letter."""
    if is_empty(probability):
        return
    assert probability is not None
    problem = compare(float(probability), sum(name[0] == letter for name in names) / len(names))
    verdict(problem, f"{float(probability):.4f} of all names begin with {letter}")


def softmax(function: Callable[[Tensor], Tensor] | None) -> None:
    """Check exercise 2: a softmax that also works for large logits."""
    if is_empty(function):
        return
    assert function is not None
    logits = torch.randn((5, 7), generator=torch.Generator().manual_seed(1))
    shift = torch.tensor([[0.0], [LARGE], [0.0], [LARGE], [LARGE]])  # per row
    problem = None
    try:
        found, large = function(logits), function(logits + shift)
    except (RuntimeError, IndexError, TypeError) as error:
        verdict(f"it stops with {type(error).__name__}: {str(error).splitlines()[0]}", "")
        return
    if not isinstance(found, Tensor) or found.shape != logits.shape:
        problem = "the result must be a tensor of the same shape as the logits"
    elif not torch.allclose(found.sum(dim=1), torch.ones(5)):
        problem = "the rows do not sum to 1"
    elif not torch.allclose(found, F.softmax(logits, dim=1), atol=1e-6):
        problem = "rows sum to 1, but they are not the softmax"
    elif not large.isfinite().all():
        value = large[~large.isfinite()][0].item()
        problem = f"it gives {value} if the logits of some rows are around {LARGE:.0f}"
    elif not torch.allclose(large, F.softmax(logits, dim=1), atol=1e-4):
        problem = "the same number added to all logits of a row must change nothing"
    verdict(problem, "rows sum to 1, also for large logits")


def gradient(answer: Tensor | None, W: Tensor, x: Tensor, y: Tensor) -> None:
    """Check exercise 3: the gradient of the loss with respect to W.

    Args:
        answer: of the exercise.
        W: (symbols, symbols), at which to compute it.
        x: (examples,) inputs.
        y: (examples,) targets.
    """
    if is_empty(answer):
        return
    assert answer is not None
    start = W.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(start[x], y), start)
    problem = None
    if answer.shape != W.shape:
        problem = f"its shape is {tuple(answer.shape)}, that of W is {tuple(W.shape)}"
    elif not torch.allclose(answer, expected, atol=1e-6):
        ratio = (answer.norm() / expected.norm()).item()
        problem = f"its norm is {ratio:.2f} times that of the gradient, or it points elsewhere"
    verdict(problem, "it has the shape of W, and 0 in the rows of symbols that do not occur")


def trigram(function: Loss | None, names: list[str], symbols: int) -> None:
    """Check exercise 4: a function (counted, scored, k) that returns the loss of a trigram."""
    if is_empty(function):
        return
    assert function is not None
    for counted, scored, k in ((names, names, 1.0), (names[:3], names[3:5], 0.1)):
        answer = float(function(counted, scored, k))
        expected = count_loss(count_grams(counted, 3), count_grams(scored, 3), k, symbols)
        problem = compare(answer, expected)
        if problem:
            where = "on all names, k = 1" if scored is names else "on names that were not counted"
            verdict(f"{where}: {problem}", "")
            return
    verdict(None, f"all names with k = 1 have {float(function(names, names, 1)):.4f}")


def split(
    parts: Sequence[list[str]] | None,
    losses: Sequence[float] | None,
    names: list[str],
    symbols: int,
) -> None:
    """Check exercise 5: train, dev and test as lists of names, and the losses of two models.

    Args:
        parts: the three lists.
        losses: of pairs on train and dev, then of triples on train and dev, with 1 added.
        names: all names.
        symbols: size of the alphabet, with the dot.
    """
    if is_empty(parts, losses):
        return
    assert parts is not None
    assert losses is not None
    verdict(
        find_split_problem(parts, names) or find_losses_problem(parts, losses, symbols),
        f"{', '.join(f'{len(part):,}' for part in parts)} names",
    )


def find_split_problem(parts: Sequence[list[str]], names: list[str]) -> str | None:
    """Return what is wrong with three parts of a list; None: nothing."""
    if len(parts) != 3:
        return f"there are {len(parts)} parts, not 3"
    if Counter(name for part in parts for name in part) != Counter(names):
        return "together the parts are not the list: a name is lost, or in two parts"
    shares = [len(part) / len(names) for part in parts]
    slack = 1.5 / len(names)
    if any(abs(share - wanted) > slack for share, wanted in zip(shares, SHARES, strict=True)):
        return f"the shares are {', '.join(f'{share:.1%}' for share in shares)}"
    if [name for part in parts for name in part] == names:
        return "the names are in the order of the list, so that the parts differ in kind"
    return None


def find_losses_problem(
    parts: Sequence[list[str]], losses: Sequence[float], symbols: int
) -> str | None:
    """Return what is wrong with the losses of pairs and triples; None: nothing."""
    if len(losses) != 4:
        return f"there are {len(losses)} losses, not 4"
    cases = [
        (model, length, where, part)
        for model, length in (("pairs", 2), ("triples", 3))
        for where, part in zip(("train", "dev"), parts, strict=False)
    ]
    for loss, (model, length, where, part) in zip(losses, cases, strict=True):
        counts, scored = (count_grams(names, length) for names in (parts[0], part))
        if problem := compare(float(loss), count_loss(counts, scored, 1, symbols)):
            return f"{model} on {where}: {problem}"
    return None


def smoothing(
    answer: tuple[float, float, float, float] | None,
    splits: Sequence[list[str]],
    symbols: int,
) -> None:
    """Check exercise 6: k with the losses of train, dev and test.

    Args:
        answer: k, and the losses of the three splits with this k.
        splits: names of train, dev and test.
        symbols: size of the alphabet, with the dot.
    """
    if is_empty(answer):
        return
    assert answer is not None
    k, *losses = map(float, answer)
    if k <= 0 or len(losses) != 3:
        verdict("k must be above 0, followed by three losses", "")
        return
    train, dev, test = (count_grams(names, 3) for names in splits)
    for split_name, triples, loss in (
        ("train", train, losses[0]),
        ("dev", dev, losses[1]),
        ("test", test, losses[2]),
    ):
        if problem := compare(loss, count_loss(train, triples, k, symbols)):
            verdict(f"loss on {split_name} with k = {k:g}: {problem}", "")
            return
    grid = [10 ** (exponent / 10) for exponent in range(-40, 31)]
    curve = [count_loss(train, dev, other, symbols) for other in grid]
    best = min(range(len(grid)), key=curve.__getitem__)
    problem = None
    if losses[1] > curve[best] + TOLERANCE:
        direction = "larger" if k < grid[best] else "smaller"
        problem = f"another k has a lower loss on dev; try a {direction} one"
    train_loss, dev_loss, test_loss = losses
    verdict(problem, f"k = {k:g}: train {train_loss:.4f}, dev {dev_loss:.4f}, test {test_loss:.4f}")


def index(function: Callable[[Tensor, Tensor], Tensor] | None) -> None:
    """Check exercise 7: a function (W, x) that returns rows of W without one-hot rows."""
    if is_empty(function):
        return
    assert function is not None
    generator = torch.Generator().manual_seed(1)
    W, x = torch.randn((6, 6), generator=generator), torch.tensor([4, 1, 1])
    expected = F.one_hot(x, num_classes=6).float() @ W
    found, unused = function(W, x), W.clone()
    unused[2] = math.inf  # 0 times infinity is nan
    problem = None
    if not isinstance(found, Tensor):
        problem = "the function must return a tensor"
    elif found.shape != expected.shape:
        problem = f"the shape is {tuple(found.shape)}, not {tuple(expected.shape)}"
    elif not torch.allclose(found, expected):
        problem = "these are not the numbers of the one-hot product"
    elif not torch.equal(function(unused, x), unused[x]):
        problem = "the numbers are right, but rows that nobody asked for are still multiplied by 0"
    verdict(problem, "the same numbers without a product")


def cross_entropy(function: Callable[[Tensor, Tensor, Tensor], Tensor] | None) -> None:
    """Check exercise 8: a function (W, x, y) that returns the loss, also for large logits."""
    if is_empty(function):
        return
    assert function is not None
    generator = torch.Generator().manual_seed(1)
    W = torch.randn((6, 6), generator=generator)
    x, y = torch.tensor([4, 1, 1, 3]), torch.tensor([0, 2, 2, 5])
    problem = None
    for scale, where in ((1, "for usual logits"), (LARGE, "for large logits")):
        found = float(function(W * scale, x, y))
        expected = F.cross_entropy((W * scale)[x], y).item()
        if not problem and (wrong := compare(found / scale, expected / scale)):
            problem = f"{where}: {wrong}"
    verdict(problem, "the same loss, and finite for large logits")


def backwards(loss: float | None, names: list[str]) -> None:
    """Check exercise 9: the loss of all names, read backwards and counted backwards."""
    if is_empty(loss):
        return
    assert loss is not None
    counts = count_grams([name[::-1] for name in names], 2)
    problem = compare(float(loss), count_loss(counts, counts, 0, 0))
    verdict(problem, f"{float(loss):.4f}")
