"""The errata at the end of audit/NOTEBOOKS.md, each with the numbers that it gives."""

import math
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from audit import notebooks, plain_loops
from charlm import params
from charlm.data.examples import bigram_counts, build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.networks.mlp import MLP
from stages import split, train_bigram_count, train_bigram_neural
from tests.conftest import ROOT, SETTINGS, same_bytes
from tools.recipes import catalog

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ONE_SYMBOL = Vocabulary.of([".", *LETTERS])
TWO_SYMBOLS = Vocabulary.of([*LETTERS, "<START>", "<END>"])
NOTEBOOKS = catalog.read_sections(ROOT / "audit/notebooks.yaml", notebooks.Notebook)
YAML = " ".join((ROOT / "audit/notebooks.yaml").read_text().split())
ERRATA = " ".join((ROOT / "audit/NOTEBOOKS.md").read_text().partition("## Errata")[2].split())


def pairs(names: list[str]) -> np.ndarray:
    """Counts with one symbol for both ends, (27, 27)."""
    return bigram_counts(build_examples(names, ONE_SYMBOL, 1), 27)


def start_end_pairs(names: list[str]) -> np.ndarray:
    """Counts with a symbol for either end, (28, 28): letters from 0, then <START> and <END>."""
    return bigram_counts(build_examples(names, TWO_SYMBOLS, 1), 28)


def mean_length(P: np.ndarray) -> float:
    """Characters before the end mark of a name drawn from the rows of P, each made to sum to 1."""
    P = P / P.sum(axis=1, keepdims=True)
    remaining = np.linalg.solve(np.eye(26) - P[1:, 1:], np.ones(26))  # from each letter to the end
    return float(P[0, 1:] @ remaining)


def nll(counts: np.ndarray, P: np.ndarray) -> float:
    seen = counts > 0
    return -(counts[seen] * np.log(P[seen])).sum() / counts.sum()


def test_wrong_axis_shows_in_the_rows_but_not_in_the_loss(names: list[str]):
    counts = pairs(names)
    right = train_bigram_count.normalise(counts, smoothing=0)
    assert counts.sum(axis=1).shape == (27,)
    wrong = counts / counts.sum(axis=1)  # without keepdims: the row sums lie along the columns
    assert nll(counts, wrong) == pytest.approx(nll(counts, right), abs=1e-12)
    assert right.sum(axis=1) == pytest.approx(np.ones(27))
    assert not np.allclose(wrong.sum(axis=1), 1, atol=0.1)
    long, short = (f"{mean_length(P):.1f}" for P in (wrong, right))
    assert f"{long} characters long on average instead of {short}" in ERRATA


def test_loss_of_a_name_is_not_the_loss_of_a_character(names: list[str]):
    counts = pairs(names)
    total = nll(counts, train_bigram_count.normalise(counts, smoothing=0)) * counts.sum()
    assert f"{total / len(names):.3f}" == "17.478"
    assert f"{total / counts.sum():.4f}" == "2.4540"
    assert "17.478" in ERRATA
    assert "2.4540" in ERRATA


def test_shuffle_cell_run_four_times(names: list[str]):
    shuffled = names.copy()
    for _ in range(4):
        random.Random(42).shuffle(shuffled)
    parts = split.cut(shuffled, train=0.8, dev=0.1).values()
    sizes = [sum(len(name) + 1 for name in names) for names in parts]
    assert sizes == [182441, 22902, 22803]
    assert "182,441 / 22,902 / 22,803" in ERRATA


@pytest.mark.parametrize(
    ("zeroed", "expected"),
    [(True, [19.5052, 17.0845, 15.7765]), (False, [19.5052, 17.0845, 15.0139])],
)
def test_gradients_never_zeroed(names: list[str], zeroed: bool, expected: list[float]):
    examples = build_examples(names, ONE_SYMBOL, 3)
    rows, targets = (torch.from_numpy(examples[key]).long() for key in ("contexts", "targets"))
    generator = Generator().manual_seed(2147483647)
    model = MLP(27, 3, embedding=2, hidden=100)
    model.initialise("normal", generator)
    losses = []
    for _ in range(3):
        loss = F.cross_entropy(model(rows), targets)
        losses.append(loss.item())
        if zeroed:
            for tensor in model.parameters():
                tensor.grad = None
        loss.backward()
        with torch.no_grad():
            for tensor in model.parameters():
                tensor.sub_(0.1 * tensor.grad)
    assert losses == pytest.approx(expected, abs=5e-5)
    assert ", ".join(f"{loss:.4f}" for loss in losses[1:]) in ERRATA


def test_examples_split_instead_of_names(names: list[str]):
    owner = [number for number, name in enumerate(names) for _ in range(len(name) + 1)]
    parts = split.cut(split.shuffle(owner, seed=42), train=0.8, dev=0.1)
    held_out = set(parts["dev"])
    whole = len(held_out - set(parts["train"]))
    assert f"all but {whole} of {len(held_out):,} names" in ERRATA


def test_counts_with_two_symbols_are_those_that_one_notebook_prints(names: list[str]):
    counts = start_end_pairs(names)
    assert counts[0, :10].tolist() == [556, 541, 470, 1042, 692, 134, 168, 2332, 1650, 175]
    assert counts[9, :10].tolist() == [1473, 1, 4, 4, 440, 0, 0, 45, 119, 2]
    assert counts[:, 26].sum() == counts[27].sum() == 0
    assert counts[26].sum() == counts[:, 27].sum() == 32_033
    assert counts[[13, 0], 27].tolist() == [6763, 6640]
    assert counts[26, 0] == 4410


def test_two_symbols_for_the_ends_give_the_same_loss_until_it_is_smoothed(names: list[str]):
    one, two = pairs(names), start_end_pairs(names)
    losses = {
        smoothing: [
            nll(counts, train_bigram_count.normalise(counts, smoothing)) for counts in (one, two)
        ]
        for smoothing in (0, 1, 100)
    }
    assert losses[0][0] == pytest.approx(losses[0][1], abs=1e-12)
    assert f"{losses[1][1]:.4f} instead of {losses[1][0]:.4f}" in ERRATA
    assert losses[100][0] < losses[100][1]


def test_summed_penalty_of_one_notebook(names: list[str]):
    counts = start_end_pairs(names)
    frequencies = torch.from_numpy(counts / counts.sum()).float()
    last = []
    for seed in range(6):
        settings = params.BigramNeural(seed=seed, steps=100, lr=1.0, l2=7.84)
        _, curve = train_bigram_neural.train(frequencies, settings)
        last.append(curve[99])  # before the last update, as the notebook has it
    _, losses, objectives = (np.array(column) for column in zip(*last, strict=True))
    assert objectives.mean() == pytest.approx(3.339, abs=0.005)
    assert losses.mean() == pytest.approx(3.139, abs=0.005)
    assert f"{objectives.min():.3f} to {objectives.max():.3f}" in ERRATA


# --- corrections on the pages, in audit/notebooks.yaml ----------------------------------------


def test_context_length_of_32_cannot_have_run():
    embedded = torch.zeros((32, 3, 2)).view(-1, 2 * 32)  # [002], trainloop
    assert embedded.shape == (3, 64)
    with pytest.raises(RuntimeError, match="3x64 and 6x100"):
        embedded @ torch.zeros((6, 100))
    assert "cannot have run as printed" in YAML


def test_loss_of_finite_logits_can_be_0_in_float32():
    logits, target = torch.tensor([[0.0, -20.0]]), torch.tensor([0])
    assert F.cross_entropy(logits, target).item() == 0  # ln(1 + e^-20) < 2^-24
    assert F.cross_entropy(logits.double(), target).item() == pytest.approx(2.06e-9, rel=1e-3)
    assert YAML.count("exactly 0 in float32, as for logits of 0 and -20") == 2
    assert "finite logits" not in YAML


@same_bytes
def test_rate_1_makes_the_loss_of_five_names_noisy(
    names: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(plain_loops, "names", {"five": names[:5]}.get)  # read from data/ otherwise
    parameters = plain_loops.seeded_start(2147483647)
    losses = plain_loops.descend(
        parameters, plain_loops.examples("five"), [1.0] * 1000, batch_size=None
    )
    lowest, highest = min(losses[-100:]), max(losses[-100:])
    assert (f"{lowest:.2f}", f"{highest:.2f}") == ("0.25", "0.48")
    assert "between 0.25 and 0.48 in the last hundred of 1,000 steps" in YAML
    assert "0.2892" not in YAML


def test_score_of_isabella_is_that_of_the_named_command(names: list[str]):
    train = split.cut(split.shuffle(names, seed=42), train=0.8, dev=0.1)["train"]
    for counted, smoothing, nats in (
        (names, 0, "-21.5142"),
        (train, SETTINGS.bigram_count.smoothing, "-21.4453"),
    ):
        P = train_bigram_count.normalise(pairs(counted), smoothing)
        found = math.log(math.prod(P[tuple(pair)] for pair in np.argwhere(pairs(["isabella"]))))
        assert f"{found:.4f}" == nats
    assert "bigram_count` prints sum and mean under the counts of train, here -21.4453" in YAML


def test_a_ends_all_five_names(names: list[str]):
    ends = sum(name.endswith("a") for name in names[:5])
    assert f'here: "{ends} of 5"' in YAML


def test_wrong_axis_is_no_erratum_of_003():
    assert "keepdims" not in [erratum.place for erratum in NOTEBOOKS["003"].errata]
    assert "(shown on purpose)" not in YAML
    assert "[003] shows it on purpose" in ERRATA


@pytest.mark.parametrize(
    ("notebook", "place", "correction"),
    [
        ("002", "4. Training the MLP, answer 4c", "the same sentence adds"),
        ("002", "comments of the training loops", "a question mark and a 2"),
        ("003", "Test it on a test data", "the sentence after it says"),
        ("003", "Negative Log Likelihood, the greatest log-likelihood", "the sentence before says"),
    ],
)
def test_errata_say_where_the_author_corrects_it(notebook: str, place: str, correction: str):
    found = [erratum for erratum in NOTEBOOKS[notebook].errata if erratum.place == place]
    assert [correction in erratum.wrong for erratum in found] == [True]
