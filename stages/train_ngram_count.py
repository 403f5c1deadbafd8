"""Train the counting n-gram model: interpolated modified Kneser-Ney (Chen & Goodman 1998).

python -m stages.train_ngram_count    data/contexts/ngram/train.safetensors
    → data/models/ngram_count.safetensors, metrics/ngram_count.json

It is the counting bigram with longer contexts. A long one was seen a few times at most, so part of
its counts is taken away and given out again as the context without its first symbol says.
"""

from typing import NamedTuple

import numpy as np

from charlm import examples as contexts, storage as files
from charlm.runtime import afford, run


class Level(NamedTuple):
    """The distinct contexts of one length, and what follows them."""

    contexts: np.ndarray  # (contexts, length), the last symbol first, in ascending order
    counts: np.ndarray  # (contexts, symbols) int64
    shorter: np.ndarray  # (contexts,) int64: which of the next level, without its first symbol


def levels(examples: dict[str, np.ndarray], symbols: int) -> list[Level]:
    """Count what follows each context, from those of full length down to the empty one.

    The longest contexts count what follows. A shorter one counts after how many different symbols
    it stood before the next one: a character that follows everywhere is a better guess than one
    that follows often, but always in the same place (Kneser & Ney 1995).

    Args:
        examples: `contexts` (examples, length) and `targets` (examples,), symbol numbers.
        symbols: size of the vocabulary.
    """
    last_first = examples["contexts"][:, ::-1]
    found, counts, _ = contexts.next_counts(last_first, examples["targets"], symbols)
    longest = found.shape[1]
    # counts, probabilities and the file for each length, and six tables at a time
    afford(
        f"contexts of up to {longest} symbols, {len(found):,} of them that long,",
        8 * symbols * len(found) * (3 * (longest + 1) + 6),
        "lower ngram_count.order, or take fewer names",
    )
    result = []
    while found.shape[1]:
        shorter, index = contexts.distinct(found[:, :-1])
        result.append(Level(found, counts, index))
        continued = np.zeros((len(shorter), symbols), dtype=np.int64)
        np.add.at(continued, index, counts > 0)
        found, counts = shorter, continued
    return [*result, Level(found, counts, np.zeros(1, dtype=np.int64))]


def discounts(counts: np.ndarray) -> np.ndarray:
    """Estimate what to take away from a count of 0, of 1, of 2 and of 3 or more.

    With n_i pairs that were counted i times and Y = n_1 / (n_1 + 2 n_2), it is
    i - (i + 1) Y n_(i+1) / n_i (Chen & Goodman 1998). Strange counts can make it negative or
    undefined: it is a tenth of i at least, so that something is left for what was never seen, and
    half of i where there are too few counts to tell.

    Args:
        counts: of any shape, int64.

    Returns:
        (4,) float64.
    """
    n = np.bincount(np.minimum(counts, 5).ravel(), minlength=6)
    taken = [0.0]
    for i in (1, 2, 3):
        if n[1] and n[2] and n[i] and n[i + 1]:
            Y = n[1] / (n[1] + 2 * n[2])
            taken.append(float(max(i - (i + 1) * Y * n[i + 1] / n[i], i / 10)))
        else:
            taken.append(i / 2)
    return np.array(taken)


def interpolate(counts: np.ndarray, D: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """Return the probability of each next symbol; every row sums to 1.

    Args:
        counts: (contexts, symbols) int64, no row of zeros.
        D: (4,), what to take away from a count of 0, 1, 2 and more.
        shorter: (contexts, symbols) float64, the probabilities of the next shorter contexts, by
            which what was taken away is given out.
    """
    capped = np.minimum(counts, 3)
    taken = sum(D[i] * (capped == i).sum(axis=1, keepdims=True) for i in (1, 2, 3))
    return (counts - D[capped] + taken * shorter) / counts.sum(axis=1, keepdims=True)


def train(found: list[Level], symbols: int) -> dict[str, np.ndarray]:
    """Return the model's tensors: for each length its contexts' keys and their probabilities.

    A context's key is the number of the next shorter one, times the symbols, plus its first symbol;
    keys rise, so that a context is found by bisection. See `models.ngram_count_logits`.
    """
    P = np.full((1, symbols), 1 / symbols)
    tensors = {}
    for length, level in enumerate(reversed(found)):
        P = interpolate(level.counts, discounts(level.counts), P[level.shorter])
        tensors[f"P{length}"] = P
        if length:
            tensors[f"keys{length}"] = level.shorter * symbols + level.contexts[:, -1]
    return tensors


def main() -> None:
    itos = files.read_vocabulary()
    examples = files.read_examples("ngram", "train", len(itos))
    found = levels(examples, len(itos))
    metrics = {
        "contexts": sum(len(level.contexts) for level in found),
        "ngrams": int(sum((level.counts > 0).sum() for level in found)),
    }

    files.write_tensors(files.DATA / "models" / "ngram_count.safetensors", train(found, len(itos)))
    files.write_json(files.METRICS / "ngram_count.json", metrics)
    taken = ", ".join(f"{D:.2f}" for D in discounts(found[0].counts)[1:])
    print(
        f"train_ngram_count: {metrics['ngrams']} n-grams of up to {len(found)} symbols; "
        f"of the longest, counted once, twice or more often, {taken} are taken away"
    )


if __name__ == "__main__":
    run(main)
