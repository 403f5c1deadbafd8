"""What the training of any network needs besides its loop: rates, dropout, curves, the best state.

Only stages that train a network import it: torch is slow to import.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Generator, Tensor, nn

from charlm.core.errors import InputError
from charlm.core.storage import PLOTS, model_path
from charlm.tables import write_rows

MAX_POINTS = 21  # per split in plots/NAME.csv, which is in git; and the lowest on dev
MAX_MEASUREMENTS = {"last": MAX_POINTS, "best_on_dev": 201}  # of the loss on dev
WORTH_KEEPING = 0.01  # nats per character by which the last loss on dev is above the lowest

Curve = list[tuple[int, float]]  # step and NLL
Dropout = Callable[[Tensor], Tensor]


def learning_rate(
    step: int, lr: float, steps: int, schedule: str, parts: Sequence[tuple[int, float]] = ()
) -> float:
    """Return the learning rate of a step, counted from 0.

    `step_decay` is the lecture's: lr, and a tenth of it in the second half. `one_cycle` (Smith &
    Topin 2018) rises linearly over the first tenth of the steps, then falls to 0 along a cosine;
    `cosine` falls from the first step on (Loshchilov & Hutter 2017). `parts` is lr until the first
    step of the parts, and from each of these steps on the rate beside it.
    """
    if schedule == "parts":
        return next((rate for first, rate in reversed(parts) if step >= first), lr)
    if schedule == "step_decay" and step >= steps // 2:
        return lr / 10
    if schedule in ("one_cycle", "cosine"):
        warmup = steps / 10 if schedule == "one_cycle" else 0
        if step < warmup:
            return lr * (step + 1) / (warmup + 1)
        progress = (step - warmup) / (steps - warmup)
        return lr * (1 + math.cos(math.pi * progress)) / 2
    return lr


def batches(count: int, size: int, generator: Generator) -> Iterator[np.ndarray]:
    """Yield the numbers below a count in random order, `size` at a time, again and again.

    Args:
        count: at least 1.
        size: of a batch; at most `count` are in one.
    """
    while True:
        order = torch.randperm(count, generator=generator).numpy()
        for first in range(0, max(1, count - size + 1), size):
            yield order[first : first + size]


def dropout(share: float, generator: Generator) -> Dropout | None:
    """Return a function that zeroes a share of a tensor and rescales the rest; None if it is 0.

    Srivastava et al. (2014). `F.dropout` takes no generator.
    """

    def drop(x: Tensor) -> Tensor:
        is_kept = torch.rand(x.shape, generator=generator) >= share
        return x * is_kept / (1 - share)

    return drop if share else None


def load_start(model: nn.Module, name: str, path: Path, sha256: str | None) -> None:
    """Give a model the tensors of a stored one, to go on from them.

    A stage depends on the hash and not on the file, so that DVC knows what its result depends on.

    Args:
        model: changed in place.
        name: of the model, which is also its section of params.yaml; train_NAME is its stage.
        path: of the stored model, a safetensors file.
        sha256: of that file.

    Raises:
        InputError: the file is missing, has another hash, is not safetensors, or does not fit.
    """
    where = f"train_{name}: {name}.start_from: {path}"
    if path.absolute() == model_path(name).absolute():
        raise InputError(f"{where}: this stage replaces that file; give it a copy")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{where}: {error.strerror}; give a file that this stage can read"
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"{where}: expected sha256 {sha256 or '(none given)'}, got {found}; if this is the "
            f"model to go on from, set {name}.start_from_sha256 to that"
        )
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, KeyError, TypeError) as error:
        raise InputError(f"{where}: not a safetensors file ({error}); give another file") from None
    if problems := differences(tensors, model):
        raise InputError(
            f"{where}: does not fit the settings: {', '.join(problems)}; change the settings of "
            f"{name}, or give a model that was trained with these"
        )
    model.load_state_dict(tensors)


def differences(tensors: dict[str, Tensor], model: nn.Module) -> list[str]:
    """Return why a model cannot have these tensors, each reason in a few words."""
    expected, buffers = model.state_dict(), dict(model.named_buffers())
    problems = [f"{key} is missing" for key in expected if key not in tensors]
    for key, tensor in sorted(tensors.items()):
        if key not in expected:
            problems.append(f"{key} is unknown")
        elif tensor.shape != expected[key].shape or tensor.dtype != expected[key].dtype:
            kinds = (f"{x.dtype} {tuple(x.shape)}" for x in (tensor, expected[key]))
            problems.append("{} is {}, not {}".format(key, *kinds).replace("torch.", ""))
        elif not tensor.isfinite().all():
            problems.append(f"{key} is not finite")
        elif key in buffers and not torch.equal(tensor, buffers[key]):
            problems.append(f"{key} is {tensor.tolist()}, not {buffers[key].tolist()}")
    return problems


def check_finite(
    value: Tensor,
    name: str,
    step: int,
    lr: float,
    schedule: str = "one_cycle",
    what: str = "the loss",
) -> float:
    """Return a loss, or another value, as a number.

    Args:
        value: of one element.
        name: of the model, which is also its section of params.yaml; train_NAME is its stage.
        step: at which it was found.
        lr, schedule: as of `learning_rate`.
        what: was checked.

    Raises:
        InputError: it is NaN or infinite.
    """
    number = value.item()
    if not math.isfinite(number):
        parts = f", or the rates of {name}.parts" if schedule == "parts" else ""
        raise InputError(
            f"train_{name}: {what} is {number} at step {step}; lower {name}.lr, now {lr:g}{parts}"
        )
    return number


def evenly_spaced(last: int, points: int) -> set[int]:
    """Return at most `points` integers from 0 to `last`, both included.

    >>> sorted(evenly_spaced(last=9, points=4))
    [0, 3, 6, 9]
    """
    gaps = max(1, min(last, points - 1))
    return {last * number // gaps for number in range(gaps + 1)}


def lowest(curve: Curve) -> tuple[int, float]:
    """Return the first point of a curve with the lowest loss.

    >>> lowest([(0, 3.3), (10, 2.1), (20, 2.4)])
    (10, 2.1)
    """
    return min(curve, key=lambda point: point[1])


def thinned(curve: Curve, last: int) -> Curve:
    """Return the points of a curve at evenly spaced steps from 0 to `last`, and the lowest."""
    steps = evenly_spaced(last, MAX_POINTS) | {lowest(curve)[0]} if curve else set()
    return [point for point in curve if point[0] in steps]


class History:
    """The losses of a training so far, and the parameters with the lowest loss on dev.

    Attributes:
        train: step, and loss of its batch before its update.
        dev: number of updates, and loss on dev after them; empty if dev is.
        dev_steps: after how many updates the loss on dev is to be measured.
    """

    def __init__(self, name: str, steps: int, keep: str, has_dev: bool) -> None:
        """Choose the steps at which losses are recorded: evenly spaced ones.

        Args:
            name: of the model, which is also its section of params.yaml; train_NAME is its stage.
            steps: of the training.
            keep: last, or best_on_dev.
            has_dev: whether there are dev names.

        Raises:
            InputError: there are no dev names to choose the best step.
        """
        self.keeps_best = keep == "best_on_dev"
        if self.keeps_best and not has_dev:
            raise InputError(
                f"train_{name}: dev is empty; raise split.dev, or set {name}.keep to last"
            )
        self.name = name
        self.steps = steps
        self.train: Curve = []
        self.dev: Curve = []
        self.train_steps = evenly_spaced(steps - 1, MAX_POINTS)
        self.dev_steps = evenly_spaced(steps, MAX_MEASUREMENTS[keep]) if has_dev else set()
        self.best: dict[str, Tensor] = {}

    def add_train(self, step: int, nll: float) -> None:
        """Record the loss of a batch, if its step is one of those that are recorded."""
        if step in self.train_steps:
            self.train.append((step, nll))

    def add_dev(self, step: int, nll: float, model: nn.Module) -> None:
        """Record the loss on dev, and the parameters if they are to be kept."""
        self.dev.append((step, nll))
        if self.keeps_best and lowest(self.dev)[0] == step:
            self.best = deepcopy(model.state_dict())

    def restore_best(self, model: nn.Module) -> None:
        """With `best_on_dev`, give the model the parameters of its lowest loss on dev."""
        if self.best:
            model.load_state_dict(self.best)

    def write(self) -> None:
        """Write plots/NAME.csv; of dev, evenly spaced points and the lowest."""
        curves = {"train": self.train, "dev": thinned(self.dev, self.steps)}
        rows = [(split, step, nll) for split, points in curves.items() for step, nll in points]
        write_rows(PLOTS / f"{self.name}.csv", ["split", "step", "nll"], rows)

    def describe_dev(self) -> str:
        """Return what is printed about the losses on dev."""
        if not self.dev:
            return ""
        (step, best), (last_step, last) = lowest(self.dev), self.dev[-1]
        if self.keeps_best:
            return f", {best:z.4f} on dev (kept: after step {step:,}, the lowest)"
        if step == last_step:
            return f", {last:z.4f} on dev (the lowest)"
        is_worth_keeping = last - best > WORTH_KEEPING
        how = f"; to keep that: {self.name}.keep=best_on_dev" if is_worth_keeping else ""
        return f", {last:z.4f} on dev (lowest after step {step:,}: {best:z.4f}{how})"
