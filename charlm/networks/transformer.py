"""The transformer as it is trained: attention to all symbols so far (Vaswani et al. 2017).

`charlm.models.transformer` computes the same logits from the stored tensors, without torch.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from charlm.data.tensors import Arrays
from charlm.models.transformer import positions

EPSILON = 1e-5  # added to a mean square, so that it is not 0


class Transformer(nn.Module):
    """Blocks of attention and a hidden layer each, which read normalised input and add to it.

    Its parameters, all float32, with d = embedding: C (symbols, d); in block n, An (d, 3 * d) for
    queries, keys and values, Pn (d, d), Wn (d, 4 * d), bn (4 * d,), Vn (4 * d, d), cn (d,), and the
    gains gn, hn (d,) of the two normalisations; then g (d,), W (d, symbols), c (symbols,).
    Positions are sines, so that a name may be longer than any in train.
    """

    def __init__(self, symbols: int, embedding: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.heads = heads
        d = embedding
        shapes: dict[str, tuple[int, ...]] = {"C": (symbols, d)}
        for n in range(1, blocks + 1):
            shapes |= {f"g{n}": (d,), f"A{n}": (d, 3 * d), f"P{n}": (d, d)}
            shapes |= {f"h{n}": (d,), f"W{n}": (d, 4 * d), f"b{n}": (4 * d,)}
            shapes |= {f"V{n}": (4 * d, d), f"c{n}": (d,)}
        shapes |= {"g": (d,), "W": (d, symbols), "c": (symbols,)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    @torch.no_grad()
    def initialise(self, generator: Generator) -> None:
        """Draw matrices, smaller where a block adds its output; gains are 1 and biases 0."""
        for name, parameter in self.named_parameters():
            if parameter.dim() == 1:
                parameter.fill_(name[0] in "gh")
            else:
                std = len(parameter) ** -0.5 if name != "C" else 0.5
                is_added = name[0] in "PV"
                std /= math.sqrt(2 * self.blocks) if is_added else 1
                parameter.normal_(0, std, generator=generator)

    def forward(self, symbols: Tensor, drop: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Return the logits of what follows each symbol.

        Args:
            symbols: (names, positions) int64, the start and the symbols of each name.
            drop: the dropout of what a block adds.

        Returns:
            (names, positions, symbols) float32.
        """
        p = dict(self.named_parameters())
        x = p["C"][symbols] + torch.from_numpy(positions(symbols.shape[1], p["C"].shape[1]))
        for n in range(1, self.blocks + 1):
            g, A, P, h, W, b, V, c = (
                p[f"{name}{n}"] for name in ("g", "A", "P", "h", "W", "b", "V", "c")
            )
            read = self.attend(normalise(x, g) @ A) @ P
            x = x + (drop(read) if drop else read)
            added = F.gelu(normalise(x, h) @ W + b) @ V + c
            x = x + (drop(added) if drop else added)
        return normalise(x, p["g"]) @ p["W"] + p["c"]

    def attend(self, qkv: Tensor) -> Tensor:
        """Return what each position reads from itself and those before it.

        Args:
            qkv: (names, positions, 3 * embedding): queries, keys and values of all heads.
        """
        names, count, width = qkv.shape
        shape = (names, count, 3, self.heads, width // 3 // self.heads)
        q, k, v = qkv.view(shape).permute(2, 0, 3, 1, 4)
        scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[3])
        is_later = torch.ones(count, count, dtype=torch.bool).triu(diagonal=1)
        weights = scores.masked_fill(is_later, -math.inf).softmax(dim=3)
        read: Tensor = weights @ v
        return read.transpose(1, 2).reshape(names, count, width // 3)

    def arrays(self, start: int) -> Arrays:
        """Return the tensors to store, the number of heads and the symbol before a name."""
        stored = {name: tensor.numpy() for name, tensor in self.state_dict().items()}
        numbers = {"heads": self.heads, "start": start}
        return stored | {name: torch.tensor(number).numpy() for name, number in numbers.items()}


def normalise(x: Tensor, gain: Tensor) -> Tensor:
    """Divide by the root of the mean square over the last dimension (Zhang & Sennrich 2019)."""
    return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + EPSILON) * gain


def count_parameters(symbols: int, embedding: int, blocks: int) -> int:
    """Return how many numbers are trained."""
    per_block = 12 * embedding**2 + 7 * embedding
    return 2 * symbols * embedding + symbols + embedding + blocks * per_block
