import numpy as np
import pytest

from charlm.core.errors import InputError
from charlm.data import vocabulary
from charlm.data.vocabulary import Vocabulary, build_vocabulary
from tests.conftest import SETTINGS

LETTERS = [*"abcdefghijklmnopqrstuvwxyz"]


def build(names: list[str], boundary: str = "one", place: str = "first") -> Vocabulary:
    changes = {"boundary": boundary, "boundary_place": place}
    return build_vocabulary(names, SETTINGS.vocabulary.model_copy(update=changes))


def test_boundary_is_zero_and_the_alphabet_follows_by_default():
    found = build_vocabulary(["emma", "ava", "zoe"], SETTINGS.vocabulary)
    assert found == Vocabulary([".", "a", "e", "m", "o", "v", "z"], start=0, end=0)
    assert found.characters == ["a", "e", "m", "o", "v", "z"]
    assert len(found) == 7


@pytest.mark.parametrize(
    ("names", "boundary", "place", "itos", "start", "end"),
    [
        (["ab"], "one", "first", [".", "a", "b"], 0, 0),
        (["ab"], "one", "last", ["a", "b", "."], 2, 2),
        (["ab"], "two", "first", ["<START>", "<END>", "a", "b"], 0, 1),
        (["ab"], "two", "last", ["a", "b", "<START>", "<END>"], 2, 3),
        # a name with a full stop
        (["a.b"], "one", "first", ["<.>", ".", "a", "b"], 0, 0),
        (["a.b"], "one", "last", [".", "a", "b", "<.>"], 3, 3),
        (["a.b"], "two", "first", ["<START>", "<END>", ".", "a", "b"], 0, 1),
        (["a.b"], "two", "last", [".", "a", "b", "<START>", "<END>"], 3, 4),
        # every one of these is a character of the data
        (["<.>"], "one", "first", ["<.>", ".", "<", ">"], 0, 0),
    ],
)
def test_boundary_is_a_symbol_beside_the_characters(
    names: list[str], boundary: str, place: str, itos: list[str], start: int, end: int
):
    found = build(names, boundary, place)
    assert found == Vocabulary(itos, start, end)
    assert Vocabulary.of(itos) == found
    assert found.characters == sorted(set("".join(names)))
    for name in names:
        numbers = found.encode(name)
        assert not {start, end} & set(numbers.tolist())
        assert found.decode(numbers) == name


def test_letters_from_zero_then_start_and_end():
    # as in the notebook [000]
    found = build(["".join(LETTERS)], "two", "last")
    assert len(found) == 28
    assert found.encode("az").tolist() == [0, 25]
    assert (found.start, found.end) == (26, 27)
    assert found.decode([26, 0, 25, 27]) == "<START>az<END>"


@pytest.mark.parametrize(
    ("boundary", "names", "text"),
    [("one", ["ab"], "."), ("one", ["a."], "<"), ("two", ["ab"], "<START>"), ("two", ["ab"], ".")],
)
def test_boundary_is_no_character_to_encode(boundary: str, names: list[str], text: str):
    for place in ("first", "last"):
        found = build(names, boundary, place)
        shown = "".join(found.characters)
        with pytest.raises(
            ValueError, match=rf"^'{text[0]}' is not among the characters {shown!r}$"
        ):
            found.encode(f"a{text}")


def test_list_without_a_boundary_is_no_vocabulary():
    for itos in (["a"], ["<START>", "a"], ["<END>", "a"], []):
        with pytest.raises(ValueError, match="no boundary"):
            Vocabulary.of(itos)


def test_encode_and_decode_are_inverse():
    found = build(["şəbnəm", "zoë", "愛子"])
    numbers = found.encode("zoë愛子şəbnəm")
    assert numbers.dtype == np.uint8
    assert found.decode(numbers) == "zoë愛子şəbnəm"
    assert found.encode("").shape == (0,)


def test_last_code_point_of_unicode_is_a_character():
    assert build(["a\U0010ffff"]).encode("\U0010ffffa").tolist() == [2, 1]


def test_more_than_256_symbols_need_two_bytes():
    characters = [chr(code) for code in range(0x4E00, 0x4E00 + 256)]
    numbers = build(characters).encode(characters[-1])
    assert (numbers.dtype, numbers.tolist()) == (np.uint16, [256])
    assert build(characters[:-1]).dtype == np.uint8


@pytest.mark.parametrize(("boundary", "symbols"), [("one", 1), ("two", 2)])
def test_as_many_symbols_as_two_bytes_can_number_and_no_more(boundary: str, symbols: int):
    most = 65_536 - symbols
    characters = [chr(code) for code in range(0x10000, 0x10000 + most + 1)]
    found = build(characters[:-1], boundary)
    numbers = found.encode(characters[-2])
    assert (numbers.dtype, numbers.tolist()) == (np.uint16, [65_535])
    assert len(found) == vocabulary.MAX_SYMBOLS
    with pytest.raises(
        InputError,
        match=rf"^build_contexts: the names contain {most + 1:,} different characters; at most "
        rf"{most:,} are allowed$",
    ):
        build(characters, boundary)


def test_character_outside_the_vocabulary_is_named():
    with pytest.raises(ValueError, match=r"^'é' is not among the characters 'aemv'$"):
        Vocabulary.of([".", "a", "e", "m", "v"]).encode("emmé")


def test_space_and_apostrophe_among_the_characters_are_quoted():
    with pytest.raises(ValueError, match=r"""^'Z' is not among the characters " 'a"$"""):
        Vocabulary.of([".", " ", "'", "a"]).encode("Z")


def test_of_many_characters_sixty_are_shown():
    characters = [chr(0x4E00 + number) for number in range(61)]
    with pytest.raises(ValueError, match=f"^'a' is not among the characters '{characters[0]}") as e:
        build(characters).encode("a")
    assert str(e.value).endswith(f"{characters[59]}…'")
    with pytest.raises(ValueError, match=f"{characters[59]}'$"):
        build(characters[:60]).encode("a")
