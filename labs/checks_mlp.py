"""Checks of the exercises in labs/2_mlp: they tell right from wrong, and not the answer."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from labs.support import Lab, is_empty, verdict

TOLERANCE = 1e-3  # of a loss
TARGET = 2.2  # nats per character on dev, to beat
BLOCK_SIZE = 8  # of the contexts that the model of exercise 12 gets
START_TOLERANCE = 0.05  # nats around ln(symbols)
NOISE_TOLERANCE = 0.2  # relative: the standard deviation of 400 draws is known to about 4 %
VALLEY_TOLERANCE = 0.2  # of an exponent

Examples = tuple[Tensor, Tensor]  # (examples, block size) and (examples,), both int64


def logits_of(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
    """Return the logits of an MLP with one hidden layer, of C, W1, b1, W2 and b2."""
    C, W1, b1, W2, b2 = parameters
    return torch.tanh(C[x].flatten(start_dim=1) @ W1 + b1) @ W2 + b2


def random_parameters(seed: int) -> list[Tensor]:
    """Return C, W1, b1, W2 and b2 of 5 symbols, block size 2, embedding 3 and hidden 4."""
    generator = Generator().manual_seed(seed)
    shapes = [(5, 3), (6, 4), (4,), (4, 5), (5,)]
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in shapes]


def build_examples(names: Sequence[str], itos: Sequence[str], block_size: int) -> Examples:
    """Return contexts and targets of names; the first symbol is their boundary."""
    stoi = {symbol: number for number, symbol in enumerate(itos)}
    contexts, targets = [], []
    for name in names:
        numbers = [0] * block_size + [stoi[symbol] for symbol in name] + [0]
        for place in range(len(name) + 1):
            contexts.append(numbers[place : place + block_size])
            targets.append(numbers[place + block_size])
    return torch.tensor(contexts), torch.tensor(targets)


def bigram_loss(counted: Sequence[str], scored: Sequence[str], symbols: int) -> float:
    """Return the NLL per character of names under the pair counts of others, plus 1."""
    counts = Counter(pair for name in counted for pair in pairwise(f".{name}."))
    totals: Counter[str] = Counter()
    for (first, _), count in counts.items():
        totals[first] += count
    pairs = [pair for name in scored for pair in pairwise(f".{name}.")]
    logs = [math.log((counts[pair] + 1) / (totals[pair[0]] + symbols)) for pair in pairs]
    return -sum(logs) / len(pairs)


def wrong_shape(found: object, expected: Tensor) -> str | None:
    """Return what is wrong with the shape of a result; None if it is right."""
    if not isinstance(found, Tensor):
        return "the function must return a tensor"
    if found.shape != expected.shape:
        return f"the shape is {tuple(found.shape)}, not {tuple(expected.shape)}"
    return None


def shapes(answer: Sequence[Sequence[int]] | None, symbols: int) -> None:
    """Check exercise 1: shapes for 8 contexts of 4 characters, embedding 5 and hidden 50."""
    if is_empty(answer):
        return
    assert answer is not None
    expected = [(8, 4, 5), (8, 20), (8, 50), (8, symbols)]
    what = ("the embedded contexts", "the same side by side", "the hidden layer", "the logits")
    problem = None if len(answer) == 4 else f"there are {len(answer)} shapes, not 4"
    for found, right, where in zip(answer, expected, what, strict=False):
        if not problem and tuple(found) != right:
            problem = f"the shape of {where} is not {tuple(found)}"
    verdict(problem, "all four shapes")


def probabilities(function: Callable[[Tensor, Tensor, Tensor], Tensor] | None) -> None:
    """Check exercise 2: a function (h, W2, b2) that returns probabilities."""
    if is_empty(function):
        return
    assert function is not None
    _, _, _, W2, b2 = (tensor.detach() for tensor in random_parameters(seed=1))
    h = torch.tanh(torch.randn((7, 4), generator=Generator().manual_seed(2)))
    expected, found = F.softmax(h @ W2 + b2, dim=1), function(h, W2, b2)
    problem = wrong_shape(found, expected)
    if not problem and not torch.allclose(found.sum(dim=1), torch.ones(len(h)), atol=1e-5):
        problem = "the rows do not sum to 1"
    elif not problem and not torch.allclose(found, expected, atol=1e-5):
        problem = "the rows sum to 1, but they come from other logits"
    verdict(problem, "one distribution per example")


def training_step(
    function: Callable[[list[Tensor], Tensor, Tensor, float], object] | None,
) -> None:
    """Check exercise 3: a function (parameters, x, y, lr) that takes one step of training."""
    if is_empty(function):
        return
    assert function is not None
    found, expected = random_parameters(seed=1), random_parameters(seed=1)
    x, y, lr = torch.tensor([[1, 2], [0, 4], [3, 3]]), torch.tensor([4, 0, 2]), 0.3
    problem = None
    for number in ("first", "second"):
        before = [tensor.detach().clone() for tensor in expected]
        function(found, x, y, lr)
        loss = F.cross_entropy(logits_of(expected, x), y)
        for tensor, gradient in zip(expected, torch.autograd.grad(loss, expected), strict=True):
            tensor.data -= lr * gradient
        moved = [tensor.detach() - start for tensor, start in zip(found, before, strict=True)]
        right = [tensor.detach() - start for tensor, start in zip(expected, before, strict=True)]
        if all(torch.allclose(a, b, atol=1e-5) for a, b in zip(moved, right, strict=True)):
            continue
        if not any(a.any() for a in moved):
            problem = f"the {number} step changes nothing"
        elif all(torch.allclose(a, -b, atol=1e-5) for a, b in zip(moved, right, strict=True)):
            problem = f"the {number} step goes in the opposite direction"
        else:
            problem = f"the {number} step does not end where it should"
        break
    verdict(problem, "two steps end where they should")


def entropy(X: Tensor, Y: Tensor) -> float:
    """Return the lowest mean loss of any model of these contexts, in nats."""
    contexts = list(map(tuple, X.tolist()))
    pairs = Counter(zip(contexts, Y.tolist(), strict=True))
    totals = Counter(contexts)
    log_likelihood = sum(
        count * math.log(count / totals[context]) for (context, _), count in pairs.items()
    )
    return -log_likelihood / len(Y)


def lowest_loss(
    function: Callable[[Tensor, Tensor], float] | None, all_examples: Sequence[Examples]
) -> None:
    """Check exercise 4: a function (X, Y) that returns the lowest loss of any model.

    Args:
        function: of the exercise.
        all_examples: those of some lists of names.
    """
    if is_empty(function):
        return
    assert function is not None
    unambiguous = torch.tensor([[0, 1], [1, 1]]), torch.tensor([1, 0])
    found = []
    for X, Y in (unambiguous, *all_examples):
        found.append(float(function(X, Y)))
        expected = entropy(X, Y)
        if not abs(found[-1] - expected) <= TOLERANCE:
            where = f"for {len(Y):,} examples with {len(X.unique(dim=0)):,} different contexts"
            size = "high" if found[-1] > expected else "low"
            verdict(f"{where}: {found[-1]:.4f} is too {size}", "")
            return
    verdict(None, f"{found[1]:.4f} for five names, {found[2]:.4f} for all")


def number_of_examples(answer: int | None, names: Sequence[str]) -> None:
    """Check exercise 5: how many examples all names have."""
    if is_empty(answer):
        return
    assert answer is not None
    expected = sum(map(len, names)) + len(names)
    size = "many" if answer > expected else "few"
    verdict(f"{answer:,} are too {size}" if answer != expected else None, f"{answer:,}")


def valley(function: Callable[[Tensor, list[float]], float] | None) -> None:
    """Check exercise 6: a function (exponents, losses) that returns the rate at the valley."""
    if is_empty(function):
        return
    assert function is not None
    exponents = torch.linspace(-3, 0, 1000)
    generator = Generator().manual_seed(1)
    for lowest in (-1.5, -0.9):
        noise = torch.randn(1000, generator=generator).abs() * 0.4
        losses = 3 + 2 * (exponents - lowest) ** 2 + noise
        losses[60] = 1.0  # a single lucky batch
        rate = float(function(exponents, losses.tolist()))
        problem = None
        if rate <= 0:
            problem = f"{rate:.4g} is no learning rate"
        elif abs(math.log10(rate) - lowest) > VALLEY_TOLERANCE:
            problem = f"a noisy valley at {10**lowest:.3f} was found at {rate:.4g}"
        if problem:
            verdict(problem, "")
            return
    verdict(None, "it finds the valley of two noisy searches")


def is_whole(X: Tensor, Y: Tensor) -> bool:
    """Tell whether examples are those of whole names, one after the other."""
    begins = (X == 0).all(dim=1)
    after_an_end = torch.cat((torch.tensor([True]), Y[:-1] == 0))
    return bool(torch.equal(begins, after_an_end) and Y[-1] == 0)


def parts(answer: Sequence[Examples] | None, X: Tensor, Y: Tensor, names: Sequence[str]) -> None:
    """Check exercise 7: train, dev and test as tensors.

    Args:
        answer: X and Y of each part.
        X, Y: of all names, in the order of the list.
        names: all names.
    """
    if is_empty(answer):
        return
    assert answer is not None
    if len(answer) != 3:
        verdict(f"there are {len(answer)} parts, not 3", "")
        return
    filled = [(x, y) for x, y in answer if len(y)]
    together = torch.cat([torch.column_stack(part) for part in filled])
    everything = torch.column_stack((X, Y))
    shares = [int((y == 0).sum()) / len(names) for _, y in answer]
    problem = None
    if together.shape != everything.shape:
        problem = f"the parts have {len(together):,} examples, all names have {len(Y):,}"
    elif not all(is_whole(x, y) for x, y in filled):
        problem = "a name is torn apart: some of its examples are in one part, some in another"
    elif Counter(map(tuple, together.tolist())) != Counter(map(tuple, everything.tolist())):
        problem = "together the parts are not the examples of all names"
    elif any(
        abs(share - right) > 1.5 / len(names)
        for share, right in zip(shares, (0.8, 0.1, 0.1), strict=True)
    ):
        problem = f"the shares of the names are {', '.join(f'{share:.1%}' for share in shares)}"
    elif torch.equal(together, everything):
        problem = "the names are in the order of the list, so that the parts differ in kind"
    verdict(problem, ", ".join(f"{len(y):,}" for _, y in answer) + " examples")


def diagnosis(answer: Sequence[str] | None) -> None:
    """Check exercise 8: which of four networks underfit, and which overfit."""
    if is_empty(answer):
        return
    assert answer is not None
    expected = ("over", "under", "under", "over")
    right = sum(a == b for a, b in zip(answer, expected, strict=False))
    problem = None
    if len(answer) != len(expected) or not set(answer) <= set(expected):
        problem = 'four words are needed, each "under" or "over"'
    elif right < len(expected):
        problem = f"{right} of {len(expected)} are right"
    verdict(problem, "all four")


def noise(answer: Sequence[float] | None, logits: Tensor, targets: Tensor) -> None:
    """Check exercise 9: the standard deviations of the losses of batches of 32 and 128.

    Args:
        answer: both.
        logits: (examples, symbols), of the model in the exercise.
        targets: (examples,).
    """
    if is_empty(answer):
        return
    assert answer is not None
    if len(answer) != 2:
        verdict(f"there are {len(answer)} numbers, not 2", "")
        return
    of_one = F.cross_entropy(logits, targets, reduction="none").std(correction=0).item()
    problem = None
    for found, size in zip(answer, (32, 128), strict=True):
        expected = of_one / size**0.5
        if not problem and not abs(float(found) / expected - 1) <= NOISE_TOLERANCE:
            direction = "high" if found > expected else "low"
            problem = f"{float(found):.3f} is too {direction} for batches of {size}"
    first, second = map(float, answer)
    verdict(problem, f"{first:.3f} and {second:.3f}, a ratio of {first / max(second, 1e-9):.1f}")


def neighbour(function: Callable[[Tensor, int], int] | None) -> None:
    """Check exercise 10: a function (C, number) that returns the closest other symbol."""
    if is_empty(function):
        return
    assert function is not None
    problem = None
    for dimensions in (2, 5):
        C = torch.randn((9, dimensions), generator=Generator().manual_seed(dimensions))
        distances = torch.cdist(C, C)
        distances.fill_diagonal_(math.inf)
        for number in range(len(C)):
            found = int(function(C.clone(), number))
            if not problem and found != int(distances[number].argmin()):
                what = "itself" if found == number else "one that is not the closest"
                problem = f"with {dimensions} dimensions it finds {what}"
    verdict(problem, "for two and for five dimensions")


def size(function: Callable[[int, int, int], int] | None, symbols: int) -> None:
    """Check exercise 11: a function (block size, embedding, hidden): the number of parameters."""
    if is_empty(function):
        return
    assert function is not None
    problem = None
    for sizes in ((3, 2, 100), (3, 10, 200), (8, 24, 320)):
        block_size, embedding, hidden = sizes
        expected = symbols * (embedding + hidden + 1) + (block_size * embedding + 1) * hidden
        found = function(*sizes)
        if not problem and found != expected:
            problem = f"{found:,} for {sizes} are too {'many' if found > expected else 'few'}"
    verdict(problem, "for three networks")


@torch.no_grad()
def better(function: Callable[[Tensor], Tensor] | None, lab: Lab, itos: Sequence[str]) -> None:
    """Check exercise 12: a model that beats 2.2 on dev, or the bigram with other names.

    Args:
        function: from contexts (rows, 8) to logits (rows, symbols).
        lab: has the splits.
        itos: the symbol of each number.
    """
    if is_empty(function):
        return
    assert function is not None
    X, Y = build_examples(lab.dev, itos, BLOCK_SIZE)
    logits = function(X)
    target = bigram_loss(lab.train, lab.dev, len(itos)) if lab.changed else TARGET
    problem = wrong_shape(logits, torch.zeros(len(X), len(itos)))
    if not problem:
        loss = F.cross_entropy(logits, Y).item()
        if not loss < target:
            problem = f"{loss:.4f} on dev, to beat is {target:.4f}"
        else:
            verdict(None, f"{loss:.4f} on dev is below {target:.4f}")
            return
    verdict(problem, "")


def start(answer: Sequence[Tensor] | None, X: Tensor, Y: Tensor, symbols: int) -> None:
    """Check exercise 13: parameters whose first loss is that of a uniform guess, and that learn.

    Args:
        answer: C, W1, b1, W2 and b2.
        X, Y: examples.
        symbols: size of the vocabulary.
    """
    if is_empty(answer):
        return
    assert answer is not None
    if len(answer) != 5 or any(not isinstance(tensor, Tensor) for tensor in answer):
        verdict("five tensors are needed, C, W1, b1, W2 and b2", "")
        return
    parameters = [tensor.detach().clone().requires_grad_() for tensor in answer]
    loss = F.cross_entropy(logits_of(parameters, X), Y)
    gradients = torch.autograd.grad(loss, parameters)
    problem = None
    if not abs(loss.item() - math.log(symbols)) <= START_TOLERANCE:
        problem = f"the first loss is {loss.item():.4f}, not near ln {symbols}"
    elif not all(gradient.any() for gradient in gradients):
        problem = "the loss is right, but some tensors have no gradient, so they never learn"
    elif (gradients[1] - gradients[1][:, :1]).abs().max() == 0:
        problem = "the loss is right, but all hidden units are equal and stay so"
    verdict(problem, f"the first loss is {loss.item():.4f}, and every tensor has a gradient")


def direct(function: Callable[..., Tensor] | None) -> None:
    """Check exercise 14: a function (C, W1, b1, W2, b2, D, x) with direct connections."""
    if is_empty(function):
        return
    assert function is not None
    parameters = [tensor.detach() for tensor in random_parameters(seed=3)]
    D = torch.randn((6, 5), generator=Generator().manual_seed(4))
    x = torch.tensor([[1, 2], [0, 4], [3, 3]])
    C, W1, b1, W2, b2 = parameters
    linear = C[x].flatten(start_dim=1) @ D
    problem = None
    for hidden, direct_weights, where in (
        (W2, torch.zeros_like(D), "with D all 0"),
        (torch.zeros_like(W2), D, "with W2 all 0"),
        (W2, D, "with both"),
    ):
        expected = logits_of((C, W1, b1, hidden, b2), x) + (linear if direct_weights.any() else 0)
        found = function(C, W1, b1, hidden, b2, direct_weights, x)
        wrong = wrong_shape(found, expected)
        if not wrong and not torch.allclose(found, expected, atol=1e-5):
            wrong = "the logits are others"
        problem = problem or (f"{where}: {wrong}" if wrong else None)
    verdict(problem, "the hidden layer and the direct connections add up")
