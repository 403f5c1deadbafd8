"""Lists of names of every kind, through all stages."""

import json
import re
from itertools import chain, product
from pathlib import Path

import pytest
import safetensors.numpy

from charlm.core.errors import InputError
from charlm.data.vocabulary import Vocabulary
from charlm.models.registry import MODELS
from charlm.names import read_names
from tests.conftest import STAGES, declared, facts, losses, run_stages, table

FEW_STEPS = {
    "bigram_neural.steps": 2,
    "mlp.steps": 2,
    "mlp.hidden": 4,
    "find_learning_rate.steps": 2,
    "sample.measured": 20,
}
POOR_MODEL = re.compile(
    r"evaluate: warning: \w+ is worse on dev than a uniform guess, ln .*"
    r"|sample: warning: .*% of the names of \w+ were cut off at \d+ characters; raise .*"
)
ALPHABETS = {
    "azerbaijani": ["Şəhla", "Çinarə", "Günel", "İlqar", "Ağasəf", "Elşən", "Nərgiz", "Zöhrə"],
    "japanese": ["さくら", "陽菜", "結衣", "ひなた", "美咲", "葵", "蓮", "大翔", "悠真", "湊"],
    "emoji": ["👨‍👩‍👧", "👩🏽‍🚀", "🙂🙃", "❤️", "🇫🇷", "zoë", "👍🏿", "🙂", "🙃", "🙂🙂"],
    "ends and middles": ["mary ann", "o'neil", "Anne-Marie", "EMMA", "emma", "$1", "a,b", '"x"'],
    "formulas": ["=1+1", "@a", "nan", "NA", "null", "true", "1e5", "-1", "none", "inf"],
}


@pytest.mark.parametrize("names", ALPHABETS.values(), ids=ALPHABETS)
def test_a_character_is_a_code_point_of_any_alphabet(
    tmp_path: Path, names: list[str], capfd: pytest.CaptureFixture[str]
):
    run_stages(tmp_path, "\n".join(names).encode(), FEW_STEPS)
    # so few names and steps make poor models, and nothing else is to be said
    warnings = capfd.readouterr().err.splitlines()
    assert all(POOR_MODEL.fullmatch(warning) for warning in warnings), warnings
    itos = json.loads((tmp_path / "data/vocabulary.json").read_text())
    assert itos == [".", *sorted(set("".join(names)))]
    splits = [read_names(tmp_path / f"data/splits/{split}.txt") for split in ("train", "dev")]
    for split, members in zip(("train", "dev"), splits, strict=True):
        path = tmp_path / f"data/contexts/mlp/{split}.safetensors"
        text = Vocabulary.of(itos).decode(safetensors.numpy.load_file(path)["targets"])
        assert text == "".join(f"{name}." for name in members)
    nll = losses(tmp_path)
    assert set(nll) - {"dev_unseen"} == {"train", "dev"}
    assert all("mlp" in by_model for by_model in nll.values())


@pytest.mark.parametrize(
    ("names", "changes", "problem"),
    [
        (["emma"], {}, "split: 0.8 of 1 names leaves train empty; raise split.train"),
        (["emma", "ava"], {}, "split: 0.1 of 2 names leaves dev empty; use more names, or set "),
        (
            ALPHABETS["emoji"],
            {"split.dev": 0.0},
            "evaluate: evaluate.splits has dev, which is empty; ",
        ),
    ],
)
def test_fewer_names_than_splits_are_refused_with_what_to_change(
    tmp_path: Path, names: list[str], changes: dict[str, float], problem: str
):
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, "\n".join(names).encode(), FEW_STEPS | changes)
    assert str(error.value).startswith(problem)


def test_one_name_is_enough_if_it_is_all_for_training(tmp_path: Path):
    changes = {"split.train": 1.0, "split.dev": 0.0, "evaluate.splits": ["train"]}
    run_stages(tmp_path, b"emma", FEW_STEPS | changes)
    assert (tmp_path / "data/splits/train.txt").read_text() == "emma\n"
    nll = losses(tmp_path)
    assert set(nll) == {"train"}
    assert "mlp" in nll["train"]
    assert table(tmp_path, "metrics/split.csv")[1:] == [
        {"split": split, "names": "0", "characters": "0", "also_in_train": ""}
        for split in ("dev", "test")
    ]
    assert {row["split"] for row in table(tmp_path, "plots/mlp.csv")} == {"train"}
    assert not {"in_dev", "length_distance"} & set(table(tmp_path, "metrics/sample.csv")[0])


def some(characters: int) -> bytes:
    """Names of three characters each, all of them different."""
    symbols = [chr(0x4E00 + number) for number in range(min(characters, 20_000))]
    symbols += [chr(0x20000 + number) for number in range(characters - len(symbols))]
    return "\n".join("".join(symbols[i : i + 3]) for i in range(0, characters, 3)).encode()


@pytest.mark.faults
def test_three_thousand_characters_work(tmp_path: Path):
    run_stages(tmp_path, some(3000), FEW_STEPS | {"sample.count": 5})
    model = safetensors.numpy.load_file(tmp_path / "data/models/bigram_count.safetensors")
    assert model["P"].shape == (3001, 3001)
    assert (tmp_path / "plots/bigram_counts.svg").stat().st_size < 5_000_000


def test_as_many_characters_as_two_bytes_can_number_are_refused_where_memory_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "8")
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, some(62_000), FEW_STEPS)
    assert str(error.value) == (
        "a table of 62,001 by 62,001 symbols would take about 185 GB of memory; at most 8 GB are "
        "allowed (MEMORY_LIMIT_GB changes that); use names of fewer different characters"
    )
    assert not (tmp_path / "data/vocabulary.json").exists()
    assert not (tmp_path / "data/contexts").exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"mlp.hidden": 100_000, "mlp.layers": 2},
            # 4 bytes * (6 * (100,000^2 + 58 * 100,000 parameters)), and little for activations
            (
                "training this MLP would take about 240 GB of memory; at most 8 GB are allowed "
                "(MEMORY_LIMIT_GB changes that); lower mlp.hidden, mlp.embedding, mlp.layers, "
                "mlp.batch_size or contexts.block_size"
            ),
        ),
        (
            {"mlp.embedding": 100_000, "mlp.hidden": 5000},
            # 4 bytes * (6 * 300,000 * 5000), and little for activations
            "training this MLP would take about 36 GB",
        ),
        (
            {"find_learning_rate.batch_size": 10_000_000},
            # 4 bytes * (4 * (3 * 2 + 100 + 27 units) * 10^7), and little for parameters
            (
                "this search would take about 21 GB of memory; at most 8 GB are allowed "
                "(MEMORY_LIMIT_GB changes that); lower embedding, hidden or batch_size of "
                "find_learning_rate"
            ),
        ),
        (
            {"sample.count": 10_000_000},
            # 6 * 10^7 * (52 + 1) * 8 bytes; the longest name has 26 characters
            "10,000,000 names of up to 52 characters would take about 25 GB",
        ),
        (
            {"sample.measured": 1_000_000, "sample.max_length": 10_000},
            # 6 * 10^6 * (10,000 + 1) * 8 bytes
            "1,000,000 names of up to 10,000 characters would take about 480 GB",
        ),
    ],
)
def test_sizes_beyond_the_memory_are_refused_with_the_estimate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], problem: str
):
    monkeypatch.setenv("MEMORY_LIMIT_GB", "8")
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [letters[i:] + letters[:i] for i in range(26)]
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, "\n".join(names).encode(), FEW_STEPS | changes)
    assert str(error.value).startswith(problem)


TWELVE = ["Ada", "Bea", "Cleo", "Dora", "Elsa", "Fay", "Gwen", "Hana", "Ines", "Juno", "Kim", "Lia"]
LINES = "".join(f"{name}\n" for name in TWELVE)
HAN = ["".join(chr(0x4E00 + 37 * n % 400 + i * n) for i in range(3)) for n in range(20)]
CYRILLIC = ["Юлий", "Илия", "Лидия", "Филипп", "Яни", "Лия", "Эли", "Лили", "Динь", "Юли"]
FORTY = [f"{first}{last}" for first in ("dil", "do", "el", "tha") for last in "aeiounrlsw"]
HEBREW = ["דב", "גד", "תמר", "אדם", "אסתר", "רחל", "לאה", "שרה", "מרים", "חנה"]
LONG = [name * 11 for name in TWELVE]
# lists that people have: their bytes, the names that are meant, what is mended
READ = {
    "blank_line_at_end": (f"{LINES}\n", TWELVE, {"blank": 1}),
    "blank_line_between": (f"Ava\n\n{LINES}", ["Ava", *TWELVE], {"blank": 1}),
    "bom": (f"\ufeff{LINES}", TWELVE, {"byte_order_mark": 1}),
    "crlf": (LINES.replace("\n", "\r\n"), TWELVE, {"line_ends": 12}),
    "csv_with_header": (f"name\n{LINES}", ["name", *TWELVE], {}),
    "cyrillic": ("\n".join(CYRILLIC), CYRILLIC, {}),
    "decomposed": (f"Zoe\u0308\nAnai\u0308s\n{LINES}", ["Zoë", "Anaïs", *TWELVE], {"composed": 2}),
    "dot": (f"St. Elm\n{LINES}", ["St. Elm", *TWELVE], {}),
    "dot_at_end": (f"Ada Jr.\n{LINES}", ["Ada Jr.", *TWELVE], {}),
    "forty_names": ("\n".join(FORTY), FORTY, {}),
    "han": ("\n".join(HAN), HAN, {}),
    "long_names": ("\n".join(LONG), LONG, {}),
    "space_at_end": (LINES.replace("Ada", "Ada "), TWELVE, {"stripped": 1}),
    "header_surname": (f"surname\n{LINES}", ["surname", *TWELVE], {}),
    "invisible_marks": (
        "".join(f"{name}\n\u200e{name}\n{name}\u200f\n" for name in HEBREW),
        [name for name in HEBREW for _ in range(3)],
        {"invisible": 20},
    ),
    "upper": (LINES.upper(), [name.upper() for name in TWELVE], {}),
}


def no_list(line: str, what: str, column: int = 1) -> str:
    """Return the error about words.txt."""
    use = "python -m tools.use words.txt"
    return (
        f"words.txt, {line} is not a plain name: {what}; run `{use} --column {column}` for the "
        f"names in it, or `{use} --as-is` if every line is one"
    )


# and those that are no lists of names, with the one line that says so
REFUSED = {
    "counts": (
        "".join(f"{name},F,{100 - n}\r\n" for n, name in enumerate(TWELVE)),
        no_list("line 1: 'Ada,F,100'", "12 of 12 lines have 2 commas"),
    ),
    "comma_space": (
        "name, sex, count\n" + "".join(f"{name}, F, {n}\n" for n, name in enumerate(TWELVE)),
        no_list("line 1: 'name, sex, count'", "13 of 13 lines have 2 commas"),
    ),
    "comments": (
        f"# a game\n\n{LINES}# the end\n",
        no_list("line 1: '# a game'", "2 of 14 lines have the sign of a comment"),
    ),
    "fixed_width": (
        "".join(f"{name:8}{1 / (n + 1):.3f}{n:3}\n" for n, name in enumerate(TWELVE)),
        # 10 and 11 take both places, so that there is one space before them
        no_list("line 1: 'Ada     1.000  0'", "12 of 12 lines have a number, F or M after a space"),
    ),
    "hunspell": (
        f"12\n{LINES}".replace("a\n", "a/H\n"),
        # Ada, Bea, Dora, Elsa, Hana, Lia
        no_list("line 2: 'Ada/H'", "6 of 13 lines have flags after a slash"),
    ),
    "numbered": (
        "".join(f"{n}. {name}\n" for n, name in enumerate(TWELVE, start=1)),
        no_list("line 1: '1. Ada'", "12 of 12 lines have a number in front"),
    ),
    "pipes": (
        "".join(f"{n}|{name}|F\n" for n, name in enumerate(TWELVE)),
        no_list("line 1: '0|Ada|F'", "12 of 12 lines have 2 pipes", column=2),
    ),
    "quoted": (
        '"name","n"\n' + "".join(f'"{name}",{n}\n' for n, name in enumerate(TWELVE)),
        no_list("""line 1: '"name","n"'""", "13 of 13 lines have 1 comma"),
    ),
    "word_count": (
        "".join(f"{name} {900 // n}\n" for n, name in enumerate(TWELVE, start=1)),
        no_list("line 1: 'Ada 900'", "12 of 12 lines have a number, F or M after a space"),
    ),
    "tab_between": (
        f"Ada\tLee\n{LINES}",
        (
            r"words.txt, line 1: 'Ada\tLee' is not a name: it contains a tab; replace it with a "
            "space, or take one column of the table"
        ),
    ),
}


@pytest.mark.parametrize(("content", "names", "mended"), READ.values(), ids=READ)
def test_list_that_people_have_is_read(
    tmp_path: Path, content: str, names: list[str], mended: dict[str, int]
):
    run_stages(tmp_path, content.encode(), FEW_STEPS, ("fetch", "split", "build_contexts"))
    found = facts(tmp_path, "fetch")
    assert read_names(tmp_path / "data/names.txt") == names
    assert found["lines"] == str(len(names))
    prefix = "mended "
    assert {
        fact.removeprefix(prefix): int(value)
        for fact, value in found.items()
        if fact.startswith(prefix)
    } == mended
    characters = sorted(set("".join(names)))
    itos = json.loads((tmp_path / "data/vocabulary.json").read_text())
    assert itos == ["<.>" if "." in characters else ".", *characters]


@pytest.mark.parametrize(
    "name",
    # what the others end in after the first stage is Latin letters, as in the lecture's list
    [
        *("cyrillic", "decomposed", "dot_at_end", "forty_names", "long_names"),
        pytest.param("han", marks=pytest.mark.faults),
    ],
)
def test_list_that_people_have_runs_through_all_stages(tmp_path: Path, name: str):
    content, names, _ = READ[name]
    run_stages(tmp_path, content.encode(), FEW_STEPS)
    characters = sorted(set("".join(names)))
    for path in chain.from_iterable(declared(name, "outs", "metrics", "plots") for name in STAGES):
        assert (tmp_path / path).exists(), path
    assert {tuple(by_model) for by_model in losses(tmp_path).values()} == {tuple(MODELS)}
    for samples in (tmp_path / "data/samples").iterdir():
        drawn = samples.read_text().removesuffix("\n").split("\n")
        assert set("".join(drawn)) <= set(characters)
        assert max(map(len, drawn)) <= max(30, 2 * max(map(len, names)))


@pytest.mark.parametrize(("content", "problem"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_list_of_names_ends_in_one_line(tmp_path: Path, content: str, problem: str):
    with pytest.raises(InputError) as error:
        run_stages(tmp_path, content.encode(), FEW_STEPS)
    assert str(error.value) == problem
    assert not (tmp_path / "data").exists()


def test_boundary_of_every_kind_runs_through_all_stages(tmp_path: Path):
    found = {}
    names = [*TWELVE, "St. Elm"]
    for boundary, place in product(("one", "two"), ("first", "last")):
        folder = tmp_path / f"{boundary}-{place}"
        folder.mkdir()
        changes = {"vocabulary.boundary": boundary, "vocabulary.boundary_place": place}
        changes |= {"bigram_count.smoothing": 0.5, "mlp.keep": "best_on_dev"}
        # what is drawn does not depend on the place
        stages = [name for name in STAGES if place == "last" or "plot" not in name]
        run_stages(folder, "\n".join(names).encode(), FEW_STEPS | changes, stages)
        nll = losses(folder)
        assert set(nll) == {"train", "dev", "dev_unseen"}
        assert all(set(by_model) == set(MODELS) for by_model in nll.values())
        found[boundary, place] = [
            {split: by_model[name] for split, by_model in nll.items()}
            for name in ("bigram_count", "ngram_count")
        ]
        vocabulary = Vocabulary.of(json.loads((folder / "data/vocabulary.json").read_text()))
        P = safetensors.numpy.load_file(folder / "data/models/bigram_count.safetensors")["P"]
        if boundary == "two":
            assert P[vocabulary.end].tolist() == [1 / len(vocabulary)] * len(vocabulary)
        for samples in (folder / "data/samples").iterdir():
            assert set(samples.read_text()) <= {*"".join(names), "\n"}
    # the numbers of the symbols change no probability; a second symbol takes a share of smoothing
    for boundary in ("one", "two"):
        for first, last in zip(found[boundary, "first"], found[boundary, "last"], strict=True):
            assert first == pytest.approx(last, abs=1e-9)
    assert found["two", "first"][0]["train"] > found["one", "first"][0]["train"]


def test_names_cut_off_are_said_above_one_percent(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    changes = FEW_STEPS | {"sample.measured": 1000, "sample.max_length": 12}
    names = [name for name in STAGES if not name.startswith("plot_")]
    run_stages(tmp_path, ("abab\nbaba\nbab\naba\nab\nba\n" * 5).encode(), changes, names)
    rows = table(tmp_path, "metrics/sample.csv")
    shares = {row["model"]: float(row["cut_off"]) for row in rows}
    assert any(0 < share <= 0.01 for share in shares.values()), shares
    assert any(share > 0.01 for share in shares.values())
    warnings = [line for line in capfd.readouterr().err.splitlines() if line.startswith("sample: ")]
    assert warnings == [
        f"sample: warning: {share:.1%} of the names of {name} were cut off at 12 characters; raise "
        "sample.max_length"
        for name, share in shares.items()
        if share > 0.01
    ]
