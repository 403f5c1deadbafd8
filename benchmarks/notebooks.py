"""The three models as the notebooks write them: plain loops, one example and one step at a time.

    python benchmarks/notebooks.py         data/splits/{train,dev}.txt → losses and names, printed
    python benchmarks/notebooks.py NAME    times one part: training, contexts, full_loss,
                                           neural_step or sampling

This is what the project is timed against, so it uses none of the project's code. It is run by its
path, because `python -m benchmarks.notebooks` would apply the project's arithmetic settings.
"""

import json
import sys
import time
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

Model = list[torch.Tensor]

ITOS = dict(enumerate(".abcdefghijklmnopqrstuvwxyz"))
STOI = {symbol: number for number, symbol in ITOS.items()}


def read(split: str) -> list[str]:
    """Read the names of a split."""
    with open(f"data/splits/{split}.txt") as file:
        return file.read().splitlines()


def build_dataset(words: list[str], block_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Build contexts and targets, one at a time."""
    X, Y = [], []
    for word in words:
        context = [0] * block_size
        for character in word + ".":
            number = STOI[character]
            X.append(context)
            Y.append(number)
            context = [*context[1:], number]
    return torch.tensor(X), torch.tensor(Y)


def count(words: list[str]) -> torch.Tensor:
    """Count pairs, smooth by 1 and normalise."""
    N = torch.zeros((27, 27), dtype=torch.int32)
    for word in words:
        characters = f".{word}."
        for first, second in zip(characters, characters[1:]):  # noqa: B905, RUF007
            N[STOI[first], STOI[second]] += 1
    P = (N + 1).float()
    return P / P.sum(1, keepdim=True)


def train_neural_bigram(xs: torch.Tensor, ys: torch.Tensor, steps: int) -> torch.Tensor:
    """Train one weight matrix on one-hot rows, the whole list at each step."""
    g = torch.Generator().manual_seed(2147483647)
    W = torch.randn((27, 27), generator=g, requires_grad=True)
    for _ in range(steps):
        xenc = F.one_hot(xs, num_classes=27).float()
        counts = (xenc @ W).exp()
        probs = counts / counts.sum(1, keepdim=True)
        loss = -probs[torch.arange(len(xs)), ys].log().mean() + 0.01 * (W**2).mean()
        W.grad = None
        loss.backward()
        assert W.grad is not None
        W.data += -50 * W.grad
    return W.detach()


def start() -> Model:
    """Draw the parameters of the lecture's last MLP: embedding 10, hidden 200, block size 3."""
    g = torch.Generator().manual_seed(2147483647)
    shapes = ((27, 10), (30, 200), (200,), (200, 27), (27,))
    return [torch.randn(shape, generator=g) for shape in shapes]


def forward(model: Model, X: torch.Tensor) -> torch.Tensor:
    """Return the logits of the MLP."""
    C, W1, b1, W2, b2 = model
    h = torch.tanh(C[X].view(-1, 30) @ W1 + b1)
    return h @ W2 + b2


def train_mlp(model: Model, X: torch.Tensor, Y: torch.Tensor, steps: int) -> None:
    """Train the MLP on mini-batches of 32, at 0.1 and then 0.01."""
    for p in model:
        p.requires_grad = True
    for i in range(steps):
        ix = torch.randint(0, X.shape[0], (32,))
        loss = F.cross_entropy(forward(model, X[ix]), Y[ix])
        for p in model:
            p.grad = None
        loss.backward()
        lr = 0.1 if i < steps / 2 else 0.01
        for p in model:
            assert p.grad is not None
            p.data += -lr * p.grad


@torch.no_grad()
def loss(model: Model, X: torch.Tensor, Y: torch.Tensor) -> float:
    """Return the loss over all examples of a split."""
    return F.cross_entropy(forward(model, X), Y).item()


@torch.no_grad()
def sample(model: Model, count: int) -> list[str]:
    """Sample names from the MLP, one character of one name at a time."""
    g = torch.Generator().manual_seed(2147483647 + 10)
    names = []
    for _ in range(count):
        out, context = [], [0] * 3
        while True:
            probs = F.softmax(forward(model, torch.tensor([context])), dim=1)
            ix = int(torch.multinomial(probs, num_samples=1, generator=g).item())
            context = [*context[1:], ix]
            if ix == 0:
                break
            out.append(ITOS[ix])
        names.append("".join(out))
    return names


def sample_bigram(P: torch.Tensor, count: int) -> list[str]:
    """Sample names from a table of probabilities, one character of one name at a time."""
    g = torch.Generator().manual_seed(2147483647)
    names = []
    for _ in range(count):
        out, ix = [], 0
        while True:
            draw = torch.multinomial(P[ix], num_samples=1, replacement=True, generator=g)
            ix = int(draw.item())
            if ix == 0:
                break
            out.append(ITOS[ix])
        names.append("".join(out))
    return names


def project_model() -> Model:
    """Read the project's trained MLP, so that both sides sample from the same model."""
    from safetensors.numpy import load_file

    tensors = load_file("data/models/mlp.safetensors")
    return [torch.from_numpy(tensors[key]) for key in ("C", "W1", "b1", "W2", "b2")]


def timed(name: str) -> dict[str, float]:
    """Time one part; the training also returns its loss on dev.

    What is imported or done once is not timed: the work is done briefly before the clock runs.
    """
    train, dev = read("train"), read("dev")
    X, Y = build_dataset(train, 3)
    xs, model = X[:, -1].contiguous(), start()

    def training(steps: int) -> None:
        model[:] = start()
        train_mlp(model, X, Y, steps)

    # how much is done before the clock runs and while it does, and by what to divide the time
    parts: dict[str, tuple[Callable[[int], object], int, int, int]] = {
        "training": (training, 100, 200_000, 1),
        "contexts": (lambda count: build_dataset(train[:count], 3), 100, len(train), 1),
        "full_loss": (lambda count: [loss(model, X, Y) for _ in range(count)], 1, 20, 20),
        "neural_step": (lambda count: train_neural_bigram(xs, Y, count), 2, 20, 20),
        "sampling": (lambda count: sample(project_model(), count), 10, 10_000, 1),
    }
    work, few, many, repeats = parts[name]
    work(few)
    begin = time.perf_counter()
    work(many)
    found = {"seconds": (time.perf_counter() - begin) / repeats}
    if name == "training":
        found["loss"] = loss(model, *build_dataset(dev, 3))
    return found


def main() -> None:
    if sys.argv[1:]:
        print(json.dumps(timed(sys.argv[1])))
        return
    train, dev = read("train"), read("dev")
    P = count(train)
    xs, ys = (tensor.flatten() for tensor in build_dataset(train, 1))
    W = train_neural_bigram(xs, ys, steps=200)
    Q = W.exp() / W.exp().sum(1, keepdim=True)
    X, Y = build_dataset(train, 3)
    Xdev, Ydev = build_dataset(dev, 3)
    model = start()
    train_mlp(model, X, Y, steps=200_000)
    for name, table in {"counting bigram": P, "neural bigram": Q}.items():
        for split, words in {"train": train, "dev": dev}.items():
            xs, ys = (tensor.flatten() for tensor in build_dataset(words, 1))
            print(name, split, -table[xs, ys].log().mean().item(), sample_bigram(table, 20)[:3])
    print("MLP train", loss(model, X, Y), "dev", loss(model, Xdev, Ydev), sample(model, 20)[:3])


if __name__ == "__main__":
    main()
