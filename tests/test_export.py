"""Exported models, read by KenLM, ONNX Runtime and safetensors, against our own scores."""

import json
import math
import re
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import yaml
from safetensors import safe_open

from charlm.core import storage
from charlm.data.examples import build_examples
from charlm.data.tensors import Arrays, write_tensors
from charlm.data.vocabulary import Vocabulary, read_vocabulary
from charlm.models.base import Model
from charlm.models.bigram_neural import BigramNeural
from charlm.models.gru import GRU
from charlm.models.ngram_count import NgramCount
from charlm.models.registry import MODELS, NETWORKS, load_models
from charlm.models.transformer import Transformer
from charlm.names import read_names
from tests.conftest import Project, no_room, posix, run_stages, table, write_inputs
from tests.test_models import ngram_arrays, random_mlp, write_models
from tools.export.__main__ import safetensors_file
from tools.export.arpa import Tokens, arpa_file
from tools.export.graphs import onnx_file
from tools.score import score, total_nll

P = np.array([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [0.75, 0.25, 0.0]])
VOCABULARY = Vocabulary.of([".", "a", "b"])
NEEDS_KENLM = "needs kenlm, which pip compiles: pip install -c constraints-dev.txt '.[kenlm]'"
NEEDS_EXPORT = "needs the extra `export`"
# prior counts 2, 1, 1; then a or b after the start, b after a, the end after b
SMALL = ngram_arrays({0: [2, 1, 1]}, {0: [0, 1, 1], 1: [0, 0, 1], 2: [2, 0, 0]})
SMALL["D"][:] = [0, 0.5, 1, 1.5]
# spaces, what ends or begins sections of ARPA, comments, its own tokens, full stops
ODD = [
    *("a b", "b a", "\\data\\", "\\end\\", "#a", "<s>", "</s>", "<unk>", "a.b", "-1.5", "a\u3000b"),
    *(
        "\U0001f600a",
        "a\u00a0a",
        "ab",
        "ba",
        "aab",
        "e\u0301\u0323b",
        "1-grams:",
        "bb a",
        "b.",
        "a b",
    ),
]
NO_BB = ["ab", "aab", "aba", "a", "aa", "ba", "baa", "aaba", "abaa", "aaab"]
PLAIN = ["ab", "ba", "aab", "abab", "b", "bba", "abba", "baab", "bab", "aba"]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """A folder with small models, and params.yaml of a list on this machine."""
    write_inputs(tmp_path, b"ab\n", {})
    write_models(tmp_path, P)
    return tmp_path


def export(folder: Path, *arguments: str) -> str:
    """Export, and return what was printed."""
    ran = Project(folder).call("tools.export", *arguments)
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def refused(folder: Path, *arguments: str, status: int = 1) -> str:
    """Return the error, after which nothing new is in the folder."""
    project = Project(folder)
    before = project.files()
    ran = project.call("tools.export", *arguments)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert project.files() == before
    return ran.stderr


def run_card(path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> str:
    """Run the lines of Python of a card in its folder, and return what they print."""
    (lines,) = re.findall("```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(path.parent)
    capsys.readouterr()
    exec(lines, {})
    return capsys.readouterr().out


# --- ARPA ---------------------------------------------------------------------------------------


def read_arpa(text: str) -> dict[tuple[str, ...], tuple[float, float]]:
    """Return the log10 of the probability and of the backoff weight of each n-gram."""
    lines = text.split("\\data\\\n")[1].split("\n")
    counts = [int(line.partition("=")[2]) for line in lines if line.startswith("ngram ")]
    entries = [line.split("\t") for line in lines if "\t" in line]
    ngrams = {
        tuple(entry[1].split(" ")): (float(entry[0]), float(entry[2]) if entry[2:] else 0.0)
        for entry in entries
    }
    assert len(ngrams) == len(entries)
    sizes = [len(ngram) for ngram in ngrams]
    assert counts == [sizes.count(n) for n in range(1, 1 + max(sizes))]
    return ngrams


def nll_of(ngrams: dict[tuple[str, ...], tuple[float, float]], tokens: list[str]) -> float:
    """Return the NLL of a name and its end, by backing off as the format says."""

    def log10(context: tuple[str, ...], token: str) -> float:
        if (*context, token) in ngrams:
            return ngrams[*context, token][0]
        return ngrams.get(context, (0.0, 0.0))[1] + log10(context[1:], token)

    order = max(map(len, ngrams))
    text = ("<s>", *tokens, "</s>")
    steps = range(1, len(text))
    return -math.log(10) * sum(log10(text[max(0, i - order + 1) : i], text[i]) for i in steps)


def test_backoff_form_worked_by_hand():
    ngrams = read_arpa(arpa_file(NgramCount(SMALL, 3), VOCABULARY).decode())
    # of 2, 1, 1 the discounts take 1, 0.5 and 0.5: (1 + 2/3) / 4 for the end
    end, other = (1 + 2 / 3) / 4, (0.5 + 2 / 3) / 4
    expected = {
        ("</s>",): (end, 1),
        ("a",): (other, 0.5),
        ("b",): (other, 0.5),
        ("<s>", "a"): ((0.5 + other) / 2, 1),
        ("<s>", "b"): ((0.5 + other) / 2, 1),
        ("a", "b"): (0.5 + 0.5 * other, 1),
        ("b", "</s>"): ((1 + end) / 2, 1),
    }
    assert ngrams.pop(("<unk>",)) == (-99, 0)
    assert ngrams.pop(("<s>",)) == (-99, pytest.approx(math.log10(0.5)))
    assert {ngram: (10**p, 10**b) for ngram, (p, b) in ngrams.items()} == {
        ngram: pytest.approx(values) for ngram, values in expected.items()
    }


def test_tokens_are_characters_unless_these_separate_tokens():
    vocabulary = Vocabulary.of(["<.>", " ", ".", "a", "\u3000"])
    tokens = Tokens(vocabulary)
    assert tokens.in_context == ["<s>", "<space>", ".", "a", "<U+3000>"]
    assert tokens.next == ["</s>", "<space>", ".", "a", "<U+3000>"]


def stages_for_counting(folder: Path, names: list[str], changes: dict[str, object]) -> None:
    content = "".join(f"{name}\n" for name in names).encode()
    stages = ("fetch", "split", "build_contexts", "train_bigram_count", "train_ngram_count")
    # some characters are in dev alone
    run_stages(folder, content, {"fetch.lines": "any", "split.train": 0.6} | changes, stages)


@pytest.mark.parametrize("reader", ["loop", "kenlm"])
@pytest.mark.parametrize(
    ("names", "changes"),
    [
        (ODD, {}),
        (ODD, {"vocabulary.boundary": "two", "vocabulary.boundary_place": "last"}),
        (NO_BB, {"ngram_count.order": 2, "bigram_count.smoothing": 0}),
        (PLAIN, {"ngram_count.order": 3, "vocabulary.boundary": "two"}),
        (PLAIN, {"ngram_count.order": 6, "vocabulary.boundary_place": "last"}),
    ],
)
def test_arpa_scores_names_as_the_model_does(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    names: list[str],
    changes: dict[str, object],
    reader: str,
):
    if reader == "kenlm":
        pytest.importorskip("kenlm", reason=NEEDS_KENLM)
    stages_for_counting(tmp_path, names, changes)
    for model in ("bigram_count", "ngram_count"):
        export(tmp_path, model, "--format", "arpa")
    monkeypatch.chdir(tmp_path)
    vocabulary = read_vocabulary()
    tokens = {" ": "<space>", "\u3000": "<U+3000>", "\xa0": "<U+00A0>"}
    every = {*read_names(Path("data/names.txt")), *map("".join, product("ab", repeat=4))}
    impossible = 0
    for name, model in load_models(len(vocabulary), ("bigram_count", "ngram_count")).items():
        path = f"export/{name}.arpa"
        ngrams = read_arpa(Path(path).read_text(encoding="utf-8"))
        kenlm = sys.modules["kenlm"].Model(path) if reader == "kenlm" else None
        for text in sorted(every):
            spelt = [tokens.get(character, character) for character in text]
            ours = total_nll(score(text, model, vocabulary))
            theirs = (
                -math.log(10) * kenlm.score(" ".join(spelt)) if kenlm else nll_of(ngrams, spelt)
            )
            if math.isinf(ours):
                impossible += 1
                assert theirs > 98 * math.log(10)
            else:
                assert theirs == pytest.approx(ours, abs=1e-5), (name, text)
    assert (impossible > 0) == (changes.get("bigram_count.smoothing") == 0)


def test_kenlm_scores_the_dev_names_as_evaluate_does(finished: Project, tmp_path: Path):
    kenlm = pytest.importorskip("kenlm", reason=NEEDS_KENLM)
    path = tmp_path / "ngram_count.arpa"
    export(finished.root, "ngram_count", "--format", "arpa", "-o", str(path))
    model = kenlm.Model(str(path))
    rows = [row for row in table(finished.root, "data/evaluation.csv") if row["split"] == "dev"]
    theirs = [-math.log(10) * model.score(" ".join(row["name"])) for row in rows]
    assert theirs == pytest.approx([float(row["ngram_count"]) for row in rows], abs=1e-5)


# --- ONNX ---------------------------------------------------------------------------------------


def every_context(model: Model) -> np.ndarray:
    return np.array([*product(range(model.symbols), repeat=model.block_size)])


@pytest.mark.parametrize(
    "model",
    [
        BigramNeural({"W": np.float32([[0, 9, -9], [1, 2, 3], [-40, 0, 0]])}, 3),
        random_mlp(3, block_size=2),
        random_mlp(3, block_size=3, layers=2, activation="gelu"),
        random_mlp(3, block_size=2, direct=True),
    ],
    ids=["bigram_neural", "tanh", "gelu", "direct"],
)
def test_onnxruntime_computes_the_same_log_probabilities(model: Model):
    pytest.importorskip("onnx", reason=NEEDS_EXPORT)
    onnxruntime = pytest.importorskip("onnxruntime", reason=NEEDS_EXPORT)
    session = onnxruntime.InferenceSession(onnx_file(model, VOCABULARY))
    contexts = every_context(model)
    (found,) = session.run(["log_probabilities"], {"contexts": contexts})
    np.testing.assert_allclose(found, model.log_probabilities(contexts), atol=1e-5, rtol=0)
    (none,) = session.run(None, {"contexts": contexts[:0]})
    assert none.shape == (0, 3)


def random_arrays(std: float, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    generator = np.random.default_rng(1)
    return {
        key: generator.normal(0, std, shape).astype(np.float32) for key, shape in shapes.items()
    }


def random_gru(vocabulary: Vocabulary, networks: int) -> GRU:
    symbols, hidden = len(vocabulary), 5
    shapes = {"X": (symbols, 3 * hidden), "U": (hidden, 3 * hidden), "b": (3 * hidden,)}
    shapes |= {"W": (hidden, symbols), "c": (symbols,)}
    arrays = random_arrays(1, {key: (networks, *shape) for key, shape in shapes.items()})
    return GRU(arrays | {"start": np.array(vocabulary.start)}, symbols)


def random_transformer(vocabulary: Vocabulary) -> Transformer:
    d, blocks, heads = 12, 2, 3
    shapes = {"C": (len(vocabulary), d), "g": (d,), "W": (d, len(vocabulary))}
    shapes |= {"c": (len(vocabulary),)}
    for n in range(1, blocks + 1):
        shapes |= {f"g{n}": (d,), f"A{n}": (d, 3 * d), f"P{n}": (d, d), f"h{n}": (d,)}
        shapes |= {f"W{n}": (d, 4 * d), f"b{n}": (4 * d,), f"V{n}": (4 * d, d), f"c{n}": (d,)}
    numbers = {"heads": np.array(heads), "start": np.array(vocabulary.start)}
    return Transformer(random_arrays(0.8, shapes) | numbers, len(vocabulary))


WHOLE_NAMES = {
    "gru": lambda vocabulary: random_gru(vocabulary, 1),
    "grus": lambda vocabulary: random_gru(vocabulary, 3),
    "transformer": random_transformer,
}


@pytest.mark.parametrize("itos", [[".", "a", "b"], ["a", "b", "."], ["a", "b", "<START>", "<END>"]])
@pytest.mark.parametrize("make", WHOLE_NAMES.values(), ids=WHOLE_NAMES)
def test_onnxruntime_reads_names_from_their_beginning(
    make: Callable[[Vocabulary], Model], itos: list[str]
):
    pytest.importorskip("onnx", reason=NEEDS_EXPORT)
    onnxruntime = pytest.importorskip("onnxruntime", reason=NEEDS_EXPORT)
    vocabulary = Vocabulary.of(itos)
    model = make(vocabulary)
    session = onnxruntime.InferenceSession(onnx_file(model, vocabulary))

    def differences(contexts: np.ndarray) -> np.ndarray:
        (found,) = session.run(["log_probabilities"], {"contexts": contexts})
        return abs(found - model.log_probabilities(contexts)).max(axis=1)

    # names of several lengths side by side, then each without what is in front of its start
    contexts = build_examples(["", "b", "ab", "abba", "aab" * 5], vocabulary, 17)["contexts"]
    contexts = contexts.astype(np.int64)
    assert model.log_probabilities(contexts).std(axis=0).max() > 0.1
    assert differences(contexts).max() < 1e-5
    for context in contexts:
        (starts,) = np.nonzero(context == vocabulary.start)
        assert differences(context[None, starts[-1] :]).item() < 1e-5
    assert differences(contexts[:0]).shape == (0,)
    long = np.resize(vocabulary.encode("abaab"), 1000)
    assert differences(np.array([[vocabulary.start, *long.tolist()]])).item() < 1e-5


@pytest.mark.parametrize(
    "make", [lambda vocabulary: random_mlp(4, block_size=2), *WHOLE_NAMES.values()]
)
def test_onnx_names_symbols_and_versions_in_the_same_bytes_each_time(
    make: Callable[[Vocabulary], Model],
):
    onnx = pytest.importorskip("onnx", reason=NEEDS_EXPORT)
    vocabulary = Vocabulary.of(["é", "a", "<START>", "<END>"])
    model = make(vocabulary)
    assert len({onnx_file(model, vocabulary) for _ in range(5)}) == 1
    proto = onnx.load_from_string(onnx_file(model, vocabulary))
    assert (proto.ir_version, proto.opset_import[0].version) == (8, 17)
    assert {entry.key: json.loads(entry.value) for entry in proto.metadata_props} == {
        "model": model.name,
        "symbols": ["é", "a", "<START>", "<END>"],
        "start": 2,
        "end": 3,
        "block_size": 2 if model.name == "mlp" else 1,
        "reads_whole_names": model.name in NETWORKS,
    }


@pytest.mark.parametrize("itos", [[".", "a", "b"], ["a", "b", "<START>", "<END>"]])
def test_lines_of_the_onnx_card_sample_a_name(
    trained: Path,
    itos: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    pytest.importorskip("onnx", reason=NEEDS_EXPORT)
    pytest.importorskip("onnxruntime", reason=NEEDS_EXPORT)
    vocabulary = Vocabulary.of(itos)
    a, b = itos.index("a"), itos.index("b")
    # after the start a, after a b, after b the end; as probable would be a start that is no end
    W = np.full((len(itos), len(itos)), -99, np.float32)
    W[vocabulary.start, a] = W[a, b] = W[b, vocabulary.end] = 0
    W[b, vocabulary.start] = max(W[b, vocabulary.start], 0)
    storage.write_json(trained / "data/vocabulary.json", itos)
    write_tensors(trained / "data/models/bigram_neural.safetensors", {"W": W})
    export(trained, "bigram_neural", "--format", "onnx")
    card = trained / "export/bigram_neural.onnx.md"
    assert run_card(card, monkeypatch, capsys) == "ab\n"


def test_lines_of_the_onnx_card_read_a_name_from_its_beginning(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("onnx", reason=NEEDS_EXPORT)
    pytest.importorskip("onnxruntime", reason=NEEDS_EXPORT)
    # the reset gate is 1, the update gate 0; the first unit of the state is 0.1 per a, the second
    # is 1 after b: a follows until there are two of them, then b, then the end
    arrays = {
        "X": [[0] * 6, [0] * 4 + [0.1, 0], [0] * 5 + [5]],
        "U": [[0] * 4 + [1, 0], [0] * 6],
        "b": [50, 50, -50, -50, 0, 0],
        "W": [[0, 0, 1000], [500, 0, 0]],
        "c": [-99, 0, -150],
    }
    stacked = {key: np.array([values], np.float32) for key, values in arrays.items()}
    write_tensors(trained / "data/models/gru.safetensors", stacked | {"start": np.array(0)})
    monkeypatch.setitem(MODELS, "gru", "GRU")
    export(trained, "gru", "--format", "onnx")
    assert run_card(trained / "export/gru.onnx.md", monkeypatch, capsys) == "aab\n"


def test_onnx_without_its_package_is_one_line(trained: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    assert refused(trained, "mlp", "--format", "onnx") == (
        "export: no package onnx; onnx needs the extra `export`: pip install -c constraints.txt "
        "-c constraints-dev.txt '.[export]'\n"
    )


# --- safetensors --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in MODELS if name != "mixture"])
def test_safetensors_have_the_stored_arrays_and_the_vocabulary(trained: Path, name: str):
    export(trained, name, "--format", "safetensors")
    path = trained / f"export/{name}.safetensors"
    stored = safetensors.numpy.load_file(trained / f"data/models/{name}.safetensors")
    found = safetensors.numpy.load_file(path)
    assert {key: array.tolist() for key, array in found.items()} == {
        key: array.tolist() for key, array in stored.items()
    }
    with safe_open(path, "numpy") as file:
        (description,) = map(json.loads, file.metadata().values())
    assert description.pop("block_size") == (2 if name == "mlp" else 1)
    assert description == {
        "name": name,
        "symbols": [".", "a", "b"],
        "start": 0,
        "end": 0,
        "reads_whole_names": name in NETWORKS,
    }


def test_safetensors_have_the_same_bytes_each_time():
    assert len({safetensors_file(random_mlp(3, block_size=2), VOCABULARY) for _ in range(5)}) == 1


# --- the card -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bigram_count", "ngram_count"])
def test_lines_of_the_arpa_card_score_a_name_with_spaces(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    pytest.importorskip("kenlm", reason=NEEDS_KENLM)
    stages_for_counting(tmp_path, ["a b", "b a", "abab", "ba", "a a b"] * 2, {})
    export(tmp_path, name, "--format", "arpa")
    printed = run_card(tmp_path / f"export/{name}.arpa.md", monkeypatch, capsys)
    monkeypatch.chdir(tmp_path)
    model = load_models(4, (name,))[name]
    expected = total_nll(score(" ab", model, read_vocabulary()))
    assert float(printed) == pytest.approx(expected, abs=1e-5)


def test_lines_of_the_safetensors_card_show_the_arrays(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    export(trained, "bigram_count", "--format", "safetensors")
    card = trained / "export/bigram_count.safetensors.md"
    assert run_card(card, monkeypatch, capsys) == "{'P': (3, 3)}\n"


def test_card_of_a_list_on_this_machine_has_its_name_alone(trained: Path):
    params = trained / "params.yaml"
    values = yaml.safe_load(params.read_text())
    values["fetch"]["url"] = str(trained / "words.txt")
    params.write_text(yaml.safe_dump(values))
    storage.write_bytes(
        trained / "metrics/evaluate.csv",
        b"split,model,nll,stderr\ntrain,mlp,1.0986122,0.00128\ndev,mlp,2.00006,0.1\ndev,mixture,1,1\n",
    )
    export(trained, "mlp", "--format", "safetensors")
    card = (trained / "export/mlp.safetensors.md").read_text()
    assert str(trained) not in card
    assert f"\n- List of names: words.txt, SHA-256 {values['fetch']['sha256']}\n" in card
    assert "\n- Licence of the list: unknown: check its source\n" in card
    rows = [line for line in card.splitlines() if line.startswith("| ")]
    assert [[*map(str.strip, row.split("|")[1:-1])] for row in rows] == [
        ["split", "NLL", "standard error"],
        ["train", "1.0986", "0.0013"],
        ["dev", "2.0001", "0.1000"],
    ]
    settings = yaml.safe_load(re.findall("```yaml\n(.*?)```", card, re.DOTALL)[0])
    assert settings["split"] == values["split"]


def test_card_of_the_lectures_list_names_its_licence(trained: Path):
    params = trained / "params.yaml"
    values = yaml.safe_load(params.read_text())
    base = "https://{}/karpathy/makemore/{}988aa59/{}"
    values["fetch"]["url"] = base.format("raw.githubusercontent.com", "", "names.txt")
    params.write_text(yaml.safe_dump(values))
    export(trained, "mlp", "--format", "safetensors")
    card = (trained / "export/mlp.safetensors.md").read_text()
    assert f"MIT ({base.format('github.com', 'blob/', 'LICENSE')})" in card
    assert "Not evaluated." in card


def test_export_of_a_stale_model_says_so_and_leaves_git_as_it_is(project: Project):
    project.set_param("mlp.hidden", 300)
    before = project.changed()
    ran = project.call("tools.export", "mlp", "--format", "safetensors")
    why = "stage train_mlp changed since it ran: mlp.hidden was 200, is 300"
    assert ran.returncode == 0
    assert ran.stderr.startswith(f"export: stale: {why}")
    assert f"**Stale**: {why}" in (project.root / "export/mlp.safetensors.md").read_text()
    assert project.changed() == before


# --- refusals -----------------------------------------------------------------------------------


ONNX_NAMES = [name for name in MODELS if name in {"bigram_neural", "mlp", *NETWORKS}]
NO_ONNX = (
    f"ngram_count has no form as onnx, which is for {', '.join(ONNX_NAMES)}; ngram_count can be "
    "arpa or safetensors"
)
NO_ARPA = (
    "mlp has no form as arpa, which is for bigram_count, ngram_count; mlp can be onnx or "
    "safetensors"
)
NO_MIXTURE = (
    "mixture is an average of other models: export these, and average their probabilities with "
    "the weights of metrics/mixture.csv"
)


@pytest.mark.parametrize(
    ("name", "kind", "path", "message"),
    [
        ("mixture", "safetensors", "x", NO_MIXTURE),
        ("ngram_count", "onnx", "x", NO_ONNX),
        ("mlp", "arpa", "x", NO_ARPA),
        ("mlp", "safetensors", "words.txt", "words.txt exists; delete it, or choose another -o"),
        ("mlp", "safetensors", "data", "data is a folder; give a file with -o"),
        ("mlp", "safetensors", "gone/x", "gone: no such folder; create it first"),
    ],
)
def test_export_refuses_in_one_line(trained: Path, name: str, kind: str, path: str, message: str):
    error = refused(trained, name, "--format", kind, "-o", path)
    assert error == f"export: {message}\n"


def test_counts_with_k_added_have_no_form_as_arpa(trained: Path):
    arrays = ngram_arrays({0: [1, 1, 1]}, {0: [1, 1, 1]}) | {"k": np.array(0.5)}
    write_tensors(trained / "data/models/ngram_count.safetensors", arrays)
    assert refused(trained, "ngram_count", "--format", "arpa") == (
        "export: ngram_count adds k to its counts, and only Kneser-Ney has a form as arpa: set "
        "ngram_count.smoothing to kneser_ney, or choose safetensors\n"
    )


def test_export_refuses_to_replace_a_card(trained: Path):
    (trained / "mlp.bin.md").touch()
    message = "export: mlp.bin.md exists; delete it, or choose another -o\n"
    assert refused(trained, "mlp", "--format", "safetensors", "-o", "mlp.bin") == message


def test_unknown_model_and_missing_format_are_named(trained: Path):
    assert "invalid choice: 'gpt'" in refused(trained, "gpt", "--format", "onnx", status=2)
    assert "required: --format" in refused(trained, "mlp", status=2)


@posix
def test_full_disk_leaves_neither_file_nor_card(trained: Path):
    (trained / "export").mkdir()
    with no_room():
        message = refused(trained, "mlp", "--format", "safetensors")
    assert message.startswith("export/mlp.safetensors: not written: ")
