"""Figures that the notebooks print and that no recipe shows, computed by the code of this project.

[000] to [004] are the notebooks of audit/pages/; audit/notebooks.yaml refers to these tests by
the first words of their names. Figures are written as the notebooks print them.
"""

import math
from collections import Counter

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.utils.data import random_split

from audit import plain_loops
from audit.tests.test_errata import ONE_SYMBOL, TWO_SYMBOLS, pairs, start_end_pairs
from charlm import params
from charlm.data.examples import build_examples
from charlm.data.vocabulary import Vocabulary
from charlm.models.base import log_probabilities
from charlm.models.bigram_count import BigramCount
from charlm.models.bigram_neural import BigramNeural
from charlm.networks.mlp import MLP
from charlm.sampling import Uniforms, draw, sample_names
from stages import train_bigram_count, train_bigram_neural, train_mlp
from stages.split import cut, shuffle
from tests.conftest import ROOT
from tools import score
from tools.experiments import overridden
from tools.generate import UNIFORM, load
from tools.recipes import bands, catalog

SEED = 2147483647  # of [001] and [003]
# contexts and targets of the five names at block size 3, [001]
FIVE_NAMES_CONTEXTS = """
    0 0 0; 0 0 5; 0 5 13; 5 13 13; 13 13 1;
    0 0 0; 0 0 15; 0 15 12; 15 12 9; 12 9 22; 9 22 9; 22 9 1;
    0 0 0; 0 0 1; 0 1 22; 1 22 1;
    0 0 0; 0 0 9; 0 9 19; 9 19 1; 19 1 2; 1 2 5; 2 5 12; 5 12 12; 12 12 1;
    0 0 0; 0 0 19; 0 19 15; 19 15 16; 15 16 8; 16 8 9; 8 9 1
"""
FIVE_NAMES_TARGETS = "5 13 13 1 0 15 12 9 22 9 1 0 1 22 1 0 9 19 1 2 5 12 12 1 0 19 15 16 8 9 1 0"


def numbers(text: str) -> list[list[int]]:
    """Return rows of whole numbers, of which semicolons separate one from the next."""
    return [[int(number) for number in row.split()] for row in text.split(";")]


def inputs(names: list[str], vocabulary: Vocabulary, block_size: int) -> tuple[Tensor, Tensor]:
    """Return contexts and targets of names, int64."""
    built = build_examples(names, vocabulary, block_size)
    return torch.from_numpy(built["contexts"]).long(), torch.from_numpy(built["targets"]).long()


def table(P: np.ndarray) -> BigramCount:
    """Return a counting bigram with these probabilities, after rows are made to sum to 1."""
    return BigramCount({"P": P / P.sum(axis=1, keepdims=True)}, len(P))


class Drawn(Uniforms):
    """Uniforms from a generator of torch that is also used for other draws."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def draw(self, count: int) -> np.ndarray:
        """Return the next numbers, (count,) float64."""
        return torch.rand(count, dtype=torch.float64, generator=self.generator).numpy()


# --- pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "<START>e em mm ma a<END>"),
        (2, "<START>e em mm ma a<END> <START>o ol li iv vi ia a<END>"),
        (3, "<START>e em mm ma a<END> <START>o ol li iv vi ia a<END> <START>a av va a<END>"),
    ],
    ids=["[003] one name", "[000] two names", "[003] three names"],
)
def test_pairs_of_the_first_names_in_order_and_counted(names: list[str], count: int, expected: str):
    contexts, targets = inputs(names[:count], TWO_SYMBOLS, 1)
    rows = torch.column_stack((contexts, targets)).tolist()
    assert [TWO_SYMBOLS.decode(row) for row in rows] == expected.split()
    counts = start_end_pairs(names[:count])
    assert {
        TWO_SYMBOLS.decode(pair): counts[tuple(pair)] for pair in np.argwhere(counts).tolist()
    } == Counter(expected.split())


def test_pairs_after_a_in_the_five_names_are_not_all_its_end(names: list[str]):
    assert all(name.endswith("a") for name in names[:5])  # [000]
    after_a = start_end_pairs(names[:5])[0]
    assert {TWO_SYMBOLS.itos[n]: after_a[n] for n in np.flatnonzero(after_a)} == {
        "b": 1,
        "v": 1,
        "<END>": 5,
    }
    assert after_a.sum() == 7


@pytest.mark.parametrize(
    ("pair", "count"),
    [("ab", 541), ("tb", 1), ("zx", 1), ("..", 0), ("vm", 0), ("mv", 3)],
    ids=["[000] ab", "[000] tb", "[000] zx", "[003] empty name", "[003] vm", "vm reversed"],
)
def test_pairs_of_all_names(names: list[str], pair: str, count: int):
    assert pairs(names)[tuple(map(ONE_SYMBOL.itos.index, pair))] == count


def test_pairs_that_occur_once(names: list[str]):
    assert (start_end_pairs(names) == 1).sum() == 43  # [000] shows the last two of them


def test_pairs_of_the_first_ten_letters(names: list[str]):
    assert start_end_pairs(names)[:10, :10].tolist() == numbers(  # [003]
        "556 541 470 1042 692 134 168 2332 1650 175; 321 38 1 65 655 0 0 41 217 1; "
        "815 0 42 1 551 0 2 664 271 3; 1303 1 3 149 1283 5 25 118 674 9; "
        "679 121 153 384 1271 82 125 152 818 55; 242 0 0 0 123 44 1 1 160 0; "
        "330 3 0 19 334 1 25 360 190 3; 2244 8 2 24 674 2 2 1 729 9; "
        "2445 110 509 440 1653 101 428 95 82 76; 1473 1 4 4 440 0 0 45 119 2"
    )


def test_pairs_that_begin_a_name(names: list[str]):
    assert [pairs(names)[0].tolist()] == numbers(  # [003]
        "0 4410 1306 1542 1690 1531 417 669 874 591 2422 2963 1572 2538 1146 394 515 92 1639 2055 "
        "1308 78 376 307 134 535 929"
    )


# --- scores -----------------------------------------------------------------------------------


def scored(
    names: list[str], word: str, vocabulary: Vocabulary, smoothing: float
) -> list[score.Step]:
    """Return what tools.score finds for a word under the counts of all names."""
    counts = pairs(names) if vocabulary == ONE_SYMBOL else start_end_pairs(names)
    model = table(train_bigram_count.normalise(counts, smoothing))
    return score.score(word, model, vocabulary)


@pytest.mark.parametrize(
    ("word", "smoothing", "expected"),
    [
        (
            "emma",
            0,
            (
                ".e 0.0478 -3.0408, em 0.0377 -3.2793, mm 0.0253 -3.6772, ma 0.3899 -0.9418, "
                "a. 0.1960 -1.6299"
            ),
        ),
        (
            "olivia",
            0,
            (
                ".o 0.0123 -4.3982, ol 0.0780 -2.5508, li 0.1777 -1.7278, iv 0.0152 -4.1867, "
                "vi 0.3541 -1.0383, ia 0.1381 -1.9796, a. 0.1960 -1.6299"
            ),
        ),
        ("ava", 0, ".a 0.1377 -1.9829, av 0.0246 -3.7045, va 0.2495 -1.3882, a. 0.1960 -1.6299"),
        (
            "anubhavm",
            0,
            (
                ".a 0.1377 -1.9829, an 0.1605 -1.8296, nu 0.0052 -5.2518, ub 0.0329 -3.4157, "
                "bh 0.0155 -4.1669, ha 0.2946 -1.2220, av 0.0246 -3.7045, vm 0.0000 -inf, "
                "m. 0.0777 -2.5551"
            ),
        ),
        (
            "anubhavm",
            1,
            (
                ".a 0.1376 -1.9835, an 0.1604 -1.8302, nu 0.0053 -5.2429, ub 0.0329 -3.4146, "
                "bh 0.0157 -4.1529, ha 0.2937 -1.2251, av 0.0246 -3.7041, vm 0.0004 -7.8633, "
                "m. 0.0775 -2.5572"
            ),
        ),
    ],
    ids=[
        "[000] [003] emma",
        "[003] olivia",
        "[003] ava",
        "[003] anubhavm",
        "[003] anubhavm, smoothed",
    ],
)
def test_scores_of_each_pair(names: list[str], word: str, smoothing: float, expected: str):
    steps = scored(names, word, ONE_SYMBOL, smoothing)
    shown = [f"{a}{b} {math.exp(nats):.4f} {nats:.4f}" for a, b, nats in steps]
    assert shown == expected.split(", ")


@pytest.mark.parametrize("vocabulary", [ONE_SYMBOL, TWO_SYMBOLS], ids=["27 symbols", "28 symbols"])
@pytest.mark.parametrize(
    ("word", "likelihood", "log_likelihood", "exact"),
    [
        ("emma", "0.000003478", -12.568990707397461, "-12.568992"),
        ("olivia", "0.000000025", -17.511159896850586, "-17.511159"),
        ("ava", "0.000165674", -8.705486297607422, "-8.705486"),
        ("isabella", "0.000000000", -21.5141544342041, "-21.514155"),
        ("sophia", "0.000000026", -17.468196868896484, "-17.468197"),
        ("jq", "0.000000000", -math.inf, "-inf"),
    ],
)
def test_scores_of_whole_names(
    names: list[str],
    vocabulary: Vocabulary,
    word: str,
    likelihood: str,
    log_likelihood: float,
    exact: str,
):
    total = -score.total_nll(scored(names, word, vocabulary, smoothing=0))
    assert f"{math.exp(total):.9f}" == likelihood
    assert f"{total:.6f}" == exact
    assert log_likelihood == pytest.approx(total, abs=2e-6)  # [000] adds up in float32


@pytest.mark.parametrize(
    ("word", "smoothing", "printed", "exact"),
    [
        ("anubhav", 0, "3.1186", "3.118590"),
        ("anubhavm", 0, "inf", "inf"),
        ("anubhavm", 1, "3.5526", "3.552631"),
    ],
)
def test_scores_per_character(
    names: list[str], word: str, smoothing: float, printed: str, exact: str
):
    steps = scored(names, word, ONE_SYMBOL, smoothing)  # [003]
    mean = score.total_nll(steps) / len(steps)
    assert (f"{mean:.4f}", f"{mean:.6f}") == (printed, exact)


def test_scores_of_three_names(names: list[str]):
    steps = [step for name in names[:3] for step in scored(names, name, ONE_SYMBOL, smoothing=0)]
    assert len(steps) == 16
    assert f"{score.total_nll(steps):.6f}" == "38.785637"  # 38.7856 in [003]


def test_scores_of_all_names_are_sums_in_float32(names: list[str]):
    contexts, targets = inputs(names, ONE_SYMBOL, 1)
    counts = torch.from_numpy(pairs(names)).float()
    found = (counts / counts.sum(dim=1, keepdim=True))[contexts[:, 0], targets].log()
    total = -np.add.accumulate(found.numpy())[-1].item()  # one after the other, as a loop adds
    assert f"{total / len(names):.4f}" == "17.4786"  # 17.478591918945312 in [000]
    assert f"{total / len(targets):.4f}" == "2.4541"  # [003]
    exact = -found.double().sum().item()
    assert f"{exact / len(names):.4f}" == "17.4780"
    assert f"{exact / len(targets):.4f}" == "2.4540"


def test_scores_of_first_letters(names: list[str]):
    P = train_bigram_count.normalise(pairs(names), smoothing=0)
    assert f"{P[0, 2]:.4f}" == "0.0408"  # of b, [000]
    assert " ".join(f"{p:.4f}" for p in P[0]) == (  # [003]
        "0.0000 0.1377 0.0408 0.0481 0.0528 0.0478 0.0130 0.0209 0.0273 0.0184 0.0756 0.0925 "
        "0.0491 0.0792 0.0358 0.0123 0.0161 0.0029 0.0512 0.0642 0.0408 0.0024 0.0117 0.0096 "
        "0.0042 0.0167 0.0290"
    )


# --- contexts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "vocabulary", "block_size", "contexts", "targets"),
    [
        (1, TWO_SYMBOLS, 1, "26; 4; 12; 12; 0", "4 12 12 0 27"),
        (1, ONE_SYMBOL, 1, "0; 5; 13; 13; 1", "5 13 13 1 0"),
        (1, TWO_SYMBOLS, 3, "26 26 26; 26 26 4; 26 4 12; 4 12 12; 12 12 0", "4 12 12 0 27"),
        (5, ONE_SYMBOL, 3, FIVE_NAMES_CONTEXTS, FIVE_NAMES_TARGETS),
    ],
    ids=["[000] emma", "[003] emma", "[000] emma, block size 3", "[001] five names"],
)
def test_contexts_and_targets(
    names: list[str],
    count: int,
    vocabulary: Vocabulary,
    block_size: int,
    contexts: str,
    targets: str,
):
    found = build_examples(names[:count], vocabulary, block_size)
    assert found["contexts"].tolist() == numbers(contexts)
    assert [found["targets"].tolist()] == numbers(targets)


def test_contexts_of_emma_as_characters():
    contexts, targets = inputs(["emma"], TWO_SYMBOLS, 1)
    assert TWO_SYMBOLS.decode(contexts[:, 0].tolist()) == "<START>emma"  # [000]
    assert TWO_SYMBOLS.decode(targets.tolist()) == "emma<END>"


def test_contexts_of_the_five_names_are_32_rows_of_3(names: list[str]):
    contexts, targets = inputs(names[:5], ONE_SYMBOL, 3)
    assert (contexts.shape, targets.shape) == ((32, 3), (32,))  # [001] [002] [004]
    assert contexts.dtype == targets.dtype == torch.int64


def test_row_13_of_the_embedded_contexts(names: list[str]):
    contexts, _ = inputs(names[:5], ONE_SYMBOL, 3)
    C = torch.randn(27, 2, generator=Generator().manual_seed(SEED))
    assert contexts[13, 2] == 1  # [001] [002] [004]
    assert torch.equal(C[contexts][13, 2], C[1])


def test_contexts_of_six_characters():
    contexts, targets = inputs(["ayomide", "odyssey"], ONE_SYMBOL, 6)  # [002]
    shown = [
        f"{ONE_SYMBOL.decode(context)} {ONE_SYMBOL.itos[target]}"
        for context, target in zip(contexts.tolist(), targets.tolist(), strict=True)
    ]
    assert ", ".join(shown) == (
        "...... a, .....a y, ....ay o, ...ayo m, ..ayom i, .ayomi d, ayomid e, yomide ., "
        "...... o, .....o d, ....od y, ...ody s, ..odys s, .odyss e, odysse y, dyssey ."
    )


# --- shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "vocabulary", "examples", "symbols", "parameters"),
    [(5, ONE_SYMBOL, 32, 27, 3481), (1, TWO_SYMBOLS, 5, 28, 3584)],
    ids=["[001] [002] [004] five names", "[000] emma"],
)
def test_shapes_of_the_mlp(
    names: list[str],
    count: int,
    vocabulary: Vocabulary,
    examples: int,
    symbols: int,
    parameters: int,
):
    contexts, _ = inputs(names[:count], vocabulary, 3)
    model = MLP(symbols, 3, embedding=2, hidden=100)
    model.initialise("normal", Generator().manual_seed(SEED))
    assert {key: tuple(tensor.shape) for key, tensor in model.named_parameters()} == {
        "C": (symbols, 2),
        "W1": (6, 100),
        "b1": (100,),
        "W2": (100, symbols),
        "b2": (symbols,),
    }
    assert sum(tensor.numel() for tensor in model.parameters()) == parameters
    assert model.C[contexts].shape == (examples, 3, 2)
    assert model.C[contexts].flatten(start_dim=1).shape == (examples, 6)
    assert torch.equal(model.C[contexts][-1, 2], model.C[contexts[-1, 2]])  # [004]
    hidden = []
    logits = model(contexts, drop=lambda layer: hidden.append(layer) or layer)
    assert hidden[0].shape == (examples, 100)
    assert logits.shape == (examples, symbols)
    probabilities = np.exp(log_probabilities(logits.detach().numpy()))
    assert probabilities.shape == (examples, symbols)
    assert probabilities.sum(axis=1).tolist() == pytest.approx([1.0] * examples)


@pytest.mark.parametrize(
    ("vocabulary", "symbols"), [(TWO_SYMBOLS, 28), (ONE_SYMBOL, 27)], ids=["[000]", "[003]"]
)
def test_shapes_of_the_neural_bigram(vocabulary: Vocabulary, symbols: int):
    contexts, targets = inputs(["emma"], vocabulary, 1)
    generator = Generator().manual_seed(SEED)
    W = torch.randn((symbols, symbols), generator=generator, requires_grad=True)
    logits = BigramNeural({"W": W.detach().numpy()}, symbols).logits(contexts.numpy())
    assert logits.shape == (5, symbols)
    product = F.one_hot(contexts[:, 0], symbols).float() @ W
    assert torch.equal(torch.from_numpy(logits), product)
    counts = torch.zeros(symbols, symbols)
    counts[contexts[:, 0], targets] = 1  # the five pairs are different ones
    loss = train_bigram_neural.loss(W, counts / 5)
    assert loss.item() == pytest.approx(F.cross_entropy(product, targets).item())
    loss.backward()
    assert W.grad.shape == (symbols, symbols)


def test_shapes_of_a_row_of_the_embedding_and_its_one_hot_product():
    model = MLP(27, 3, embedding=2, hidden=100)
    model.initialise("normal", Generator().manual_seed(SEED))
    one_hot = F.one_hot(torch.tensor(5), num_classes=27).float()  # [001] [002] [004]
    assert one_hot.shape == (27,)
    assert torch.equal(one_hot @ model.C, model.C[5])


def test_shapes_of_normalised_counts(names: list[str]):
    counts = pairs(names)
    P = train_bigram_count.normalise(counts, smoothing=0)
    assert counts.shape == P.shape == (27, 27)  # [003]
    assert counts.sum(axis=1, keepdims=True).shape == (27, 1)
    assert P.sum(axis=1) == pytest.approx(np.ones(27))
    assert start_end_pairs(names).shape == (28, 28)  # [000]


# --- generator --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(names: list[str]) -> dict[str, str]:
    """What [003] draws from its one generator, in its order, as it prints it.

    torch.multinomial draws a single symbol in another way now; the sampler of this project does it
    as torch did when the notebook was run.
    """
    generator = Generator().manual_seed(SEED)
    uniforms = Drawn(generator)
    counts = pairs(names)
    P = train_bigram_count.normalise(counts, smoothing=0)
    found = {}

    def name_list(model: BigramCount) -> str:
        samples = [
            sample_names(model, ONE_SYMBOL, 1, 1.0, 200, uniforms).names[0] for _ in range(10)
        ]
        return " ".join(f"{name}." for name in samples)

    random = torch.rand(3, generator=generator)
    shares = random / random.sum()
    found["random"] = " ".join(f"{x:.4f}" for x in (*random, random.sum(), *shares))
    three = table(np.tile(shares.double().numpy(), (3, 1)))
    for count in (20, 50):
        contexts = np.zeros((count, 1), dtype=np.uint8)
        symbols = draw(three, contexts, uniforms.draw(count), 1.0, Vocabulary.of([".", "a", "b"]))
        found[f"{count} draws"] = " ".join(map(str, symbols))
        found[f"shares of {count}"] = " ".join(f"{(symbols == n).mean():g}" for n in range(3))
    start = np.zeros((1, 1), dtype=np.uint8)
    first = draw(table(P), start, uniforms.draw(1), 1.0, ONE_SYMBOL)
    found["first letter"] = ONE_SYMBOL.itos[first[0]]
    found["counts"] = name_list(table(P))
    found["uniform"] = name_list(load(UNIFORM, 27))
    found["normalised"] = name_list(table(P))
    found["wrong axis"] = name_list(table(counts / counts.sum(axis=1)))
    model = BigramNeural({"W": torch.randn((27, 27), generator=generator).numpy()}, 27)
    emma = build_examples(["emma"], ONE_SYMBOL, 1)
    rows = log_probabilities(model.logits(emma["contexts"]))
    found["rows"] = "; ".join(" ".join(f"{p:.4f}" for p in row) for row in np.exp(rows))
    nats = rows[np.arange(5), emma["targets"]]
    found["probabilities"] = " ".join(f"{p:.7f}" for p in np.exp(nats))
    found["log-probabilities"] = " ".join(f"{x:.6f}" for x in nats)
    found["loss"] = f"{-nats.mean():.6f}"
    # five names of a matrix that was drawn without the generator, 71 symbols as printed
    torch.rand(71, dtype=torch.float64, generator=generator)
    _, _, train = random_split(range(228_146), [0.1, 0.1, 0.8], generator=generator)
    found["rows of train"] = " ".join(map(str, train.indices[:5]))
    return found


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("random", "0.7081 0.3542 0.1054 1.1678 0.6064 0.3033 0.0903"),
        ("20 draws", "1 1 2 0 0 2 1 1 0 0 0 1 1 0 0 1 1 0 0 1"),
        ("shares of 20", "0.45 0.45 0.1"),
        (
            "50 draws",
            (
                "0 2 0 0 1 0 0 1 0 0 0 1 1 1 0 1 1 0 0 1 1 1 0 1 1 0 1 1 0 2 0 0 0 0 0 0 0 0 0 0 "
                "1 1 0 0 0 0 0 0 0 0"
            ),
        ),
        ("shares of 50", "0.64 0.32 0.04"),
        ("first letter", "s"),
        ("counts", "blon. ke. a. ry. l. balycaweriginnn. data. bh. matt. jeeve."),
        (
            "uniform",
            (
                "wwjieqrrlvhtwogbqtwrmcjpnvrkifgnsgfvp. kynsszpvqzmmwpogyzdhpfapyhlqdxcvczntn. . . "
                "rxnsmepegjipknhbzrrz. kgkznqqzsdaacfanvedfjga. "
                "ycgfsirvvmcrvssnqjbjuqfzanulmxxkseuktjmbhn. x. wsuzuxkneqmel. "
                "qrbcskqqopeqbkuidxrnmyyfvysdxvfwix."
            ),
        ),
        (
            "normalised",
            "ele. zelensskan. a. ilelena. arah. lizanolbraris. sil. kyliketo. asonnngaeyja. an.",
        ),
        (
            "wrong axis",
            (
                "cishwambitzuruvefaum. ajorun. xilinnophajorovebrglmivoublicckyle. "
                "joyquwasooxxentomprtyuquviequzaq. "
                "juxtrcoxluckyjayspttycelllwyddstotyphaxxxwecquxzikoququzynikoposylixxuffruedrkowh."
                " ju. ixxxisrielyavrhmidexytzrohauxiexxxxxxzurefffaigtzuzzantallyojoxxxt. oprghah. "
                "stzldouwinolyselppp. j."
            ),
        ),
        # [003] computes these in float32: 0.011521384, 0.022752549, ... and -4.463550567, ...
        ("probabilities", "0.0115214 0.0227526 0.0415348 0.0132944 0.0538162"),
        ("log-probabilities", "-4.463550 -3.783078 -3.181223 -4.320409 -2.922181"),
        ("loss", "3.734088"),  # 3.734088182449341
    ],
)
def test_generator_gives_what_the_notebook_draws(drawn: dict[str, str], what: str, expected: str):
    assert drawn[what] == expected


def test_generator_gives_the_split_of_the_plain_loop(
    drawn: dict[str, str], names: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(plain_loops, "names", {"all": names}.get)  # read from data/ otherwise
    parts = plain_loops.split_of_003()
    assert [len(part) for part in parts] == [182_516, 22_815, 22_815]  # [003]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(228_146))
    assert " ".join(map(str, parts[0][:5].tolist())) == drawn["rows of train"]


@pytest.mark.parametrize(
    ("figure", "printed"),
    [
        ("examples of train", "182516"),
        ("examples of valid", "22815"),
        ("examples of test", "22815"),
        ("NLL at the 100th step", "2.5629"),
        ("valid - train", "0.0116"),  # 2.5745 - 2.5629
        ("test - train", "0.0010"),  # 2.5639 - 2.5629
        ("objective at the 100th step, l2 1", "2.8925"),
    ],
)
def test_generator_gives_a_split_that_agrees_with_what_is_printed(figure: str, printed: str):
    band = bands.load(ROOT / bands.PATH)["neural-examples-split"].figures[figure]
    assert band.contains(printed)
    assert "l2" not in figure or not band.contains("2.8935")  # of names instead


def test_generator_gives_the_probabilities_of_all_symbols(drawn: dict[str, str]):
    after_start, after_e, *after_m, after_a = drawn["rows"].split("; ")
    assert after_start == (
        "0.0204 0.0134 0.0078 0.0670 0.0130 0.0115 0.0175 0.0121 0.0186 0.0311 0.0275 0.1659 "
        "0.0087 0.0143 0.0518 0.0317 0.0831 0.0230 0.0396 0.0086 0.0483 0.0447 0.0556 0.0112 "
        "0.0724 0.0844 0.0168"
    )
    assert after_e == (
        "0.0081 0.0690 0.0499 0.1331 0.0985 0.0740 0.0093 0.0052 0.0234 0.0321 0.0267 0.0309 "
        "0.0093 0.0228 0.0269 0.0085 0.0049 0.0363 0.0139 0.0326 0.0531 0.0262 0.1151 0.0097 "
        "0.0136 0.0420 0.0248"
    )
    assert len({*after_m}) == 1
    assert after_m[0] == (
        "0.0230 0.0133 0.0162 0.0483 0.0080 0.0372 0.0084 0.0216 0.0159 0.0524 0.0227 0.0227 "
        "0.0092 0.0415 0.1000 0.0354 0.0172 0.0423 0.0553 0.0036 0.0085 0.0553 0.0140 0.0077 "
        "0.0252 0.2709 0.0243"
    )
    assert after_a == (
        "0.0538 0.0021 0.3426 0.0492 0.0995 0.0047 0.0090 0.0162 0.0012 0.0138 0.0374 0.0028 "
        "0.0075 0.0097 0.0124 0.0284 0.0163 0.0218 0.0011 0.0579 0.0165 0.0460 0.0432 0.0132 "
        "0.0680 0.0072 0.0184"
    )


# --- five_names -------------------------------------------------------------------------------


def test_five_names_before_the_last_update(names: list[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    groups = catalog.load()
    overrides = groups["five_names"].recipes["five-names"].overrides
    settings = params.Mlp(**overridden(overrides)["mlp"] | {"steps": 999})
    examples = train_mlp.Examples.of(build_examples(names[:5], ONE_SYMBOL, 3), 27)
    none = train_mlp.Examples.of(build_examples([], ONE_SYMBOL, 3), 27)
    generator = Generator().manual_seed(SEED)
    model = MLP(27, 3, embedding=2, hidden=100)
    model.initialise("normal", generator)
    start = model.C.detach().clone()
    train_mlp.train(model, examples, none, settings, generator)

    contexts, targets = inputs(names[:5], ONE_SYMBOL, 3)
    logits = model(contexts)
    # [001]; float32, so that the last digit may differ
    assert F.cross_entropy(logits, targets).item() == pytest.approx(0.2561391294002533, abs=2e-5)
    largest, symbols = logits.max(dim=1)
    expected = """
        13.3348 17.7904 20.6014 20.6121 16.7355 13.3348 15.9983 14.1722 15.9145 18.3614 15.9395
        20.9265 13.3348 17.1090 17.1319 20.0602 13.3348 16.5893 15.1017 17.0581 18.5860 15.9670
        10.8740 10.6871 15.5056 13.3348 16.1795 16.9743 12.7426 16.2009 19.0845 16.0196
    """
    assert largest.tolist() == pytest.approx([*map(float, expected.split())], abs=0.0005)
    assert [symbols.tolist()] == numbers(
        "19 13 13 1 0 19 12 9 22 9 1 0 19 22 1 0 19 19 1 2 5 12 12 1 0 19 15 16 8 9 1 0"
    )
    # s after the empty context, so the first letter of sophia is not missed, but isabella's is
    missed = (symbols != targets).nonzero()[:, 0].tolist()
    assert missed == [0, 5, 12, 16]
    assert ONE_SYMBOL.decode(targets[missed].tolist()) == "eoai"
    # what no context contains keeps its random embedding
    unchanged = (start == model.C).all(dim=1).nonzero()[:, 0].tolist()
    assert ONE_SYMBOL.decode(unchanged) == "cdfgjknqrtuwxyz"


@pytest.mark.parametrize(
    ("row", "expected"),
    [(5, [-0.3925, -1.4036]), (4, [-0.7521, 1.6487]), (1, [0.9007, -2.1055])],
)
def test_five_names_begin_with_this_embedding(row: int, expected: list[float]):
    model = MLP(27, 3, embedding=2, hidden=100)
    model.initialise("normal", Generator().manual_seed(42))
    assert [round(x, 4) for x in model.C[row].tolist()] == expected  # [002]


# --- gradients_never_zeroed -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("is_zeroed", "expected", "after"),
    [
        (
            False,
            "19.5052 17.0845 15.0139 13.0382 11.4376 10.5901 9.9068 9.0593 8.5510 8.1030",
            7.9152,
        ),
        (
            True,
            "19.5052 17.0845 15.7765 14.8333 14.0026 13.2533 12.5799 11.9831 11.4705 11.0519",
            10.7096,
        ),
    ],
    ids=["[001] never zeroed", "zeroed"],
)
def test_gradients_never_zeroed_over_ten_steps(
    names: list[str], is_zeroed: bool, expected: str, after: float
):
    examples = train_mlp.Examples.of(build_examples(names, ONE_SYMBOL, 3), 27)
    model = MLP(27, 3, embedding=2, hidden=100)
    model.initialise("normal", Generator().manual_seed(SEED))
    losses = []
    for _ in range(10):
        loss = train_mlp.full_loss(model, examples)
        losses.append(loss.item())
        if is_zeroed:
            model.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.sub_(0.1 * parameter.grad)
    # over unique contexts, so the sums are in another order than those of the notebook
    assert losses == pytest.approx([*map(float, expected.split())], abs=0.0002)
    assert train_mlp.full_loss(model, examples).item() == pytest.approx(after, abs=0.0002)


def test_cross_entropy_is_the_loss_of_the_three_lines(names: list[str]):
    contexts, targets = inputs(names[:5], ONE_SYMBOL, 3)
    model = MLP(27, 3, embedding=2, hidden=100)
    model.initialise("normal", Generator().manual_seed(SEED))
    logits = model(contexts)
    counts = logits.exp()
    probabilities = counts / counts.sum(dim=1, keepdim=True)
    loss = -probabilities[range(len(targets)), targets].log().mean()
    assert F.cross_entropy(logits, targets).item() == pytest.approx(loss.item())  # [001] [004]


@pytest.mark.parametrize(("block_size", "least"), [(3, 1.8691), (16, 1.4121)])
def test_least_possible_loss_on_train(names: list[str], block_size: int, least: float):
    """It is the mean entropy of what follows a context; 16 characters are all of a name so far."""
    train = cut(shuffle(names, seed=42), train=0.8, dev=0.1)["train"]
    contexts, targets = inputs(train, ONE_SYMBOL, block_size)
    together = Counter(map(tuple, torch.hstack((contexts, targets[:, None])).tolist()))
    alone = Counter(map(tuple, contexts.tolist()))
    nll = -sum(count * math.log(count / alone[row[:-1]]) for row, count in together.items())
    assert nll / len(targets) == pytest.approx(least, abs=5e-5)
    assert block_size != 3 or len(alone) == 5438


# --- large_logits -----------------------------------------------------------------------------


def test_large_logits_overflow_in_exp_but_not_in_log_probabilities():
    small, large = torch.tensor([[-2.0, -3.0, 0.0, 5.0], [-100.0, -3.0, 0.0, 100.0]])
    found = np.exp(log_probabilities(small.numpy()))  # [001], from here on
    assert " ".join(f"{p:.4e}" for p in found) == "9.0466e-04 3.3281e-04 6.6846e-03 9.9208e-01"
    assert log_probabilities((small - 5).numpy()).tolist() == pytest.approx(np.log(found).tolist())
    negative = torch.tensor([-100.0, -3.0, 0.0, 5.0]).exp()  # is harmless
    assert (negative / negative.sum()).sum().item() == pytest.approx(1)
    counts = large.exp()
    assert " ".join(f"{x:.4e}" for x in counts) == "3.7835e-44 4.9787e-02 1.0000e+00 inf"
    assert " ".join(f"{x:g}" for x in counts / counts.sum()) == "0 0 0 nan"
    shifted = (large - 100).exp()
    assert " ".join(f"{x:.4e}" for x in shifted) == "0.0000e+00 1.4013e-45 3.7835e-44 1.0000e+00"
    assert log_probabilities(large.numpy()).tolist() == pytest.approx([-200.0, -103.0, -100.0, 0.0])
