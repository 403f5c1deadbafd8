import numpy as np
import pytest

from charlm import vocabulary
from charlm.errors import InputError


def test_boundary_is_zero_and_the_alphabet_follows():
    itos = vocabulary.build_vocabulary(["emma", "ava", "zoe"])
    assert itos == [".", "a", "e", "m", "o", "v", "z"]


def test_encode_and_decode_are_inverse():
    itos = vocabulary.build_vocabulary(["şəbnəm", "zoë", "愛子"])
    text = "zoë.愛子.şəbnəm."
    numbers = vocabulary.encode(text, itos)
    assert numbers.dtype == np.uint8
    assert vocabulary.decode(numbers, itos) == text


def test_more_than_256_symbols_need_two_bytes():
    itos = vocabulary.build_vocabulary([chr(code) for code in range(0x4E00, 0x4E00 + 256)])
    numbers = vocabulary.encode(itos[-1], itos)
    assert (numbers.dtype, numbers.tolist()) == (np.uint16, [256])


def test_as_many_symbols_as_two_bytes_can_number_and_no_more():
    characters = [chr(code) for code in range(0x10000, 0x10000 + 65_536)]
    itos = vocabulary.build_vocabulary(characters[:-1])
    numbers = vocabulary.encode(itos[-1], itos)
    assert (numbers.dtype, numbers.tolist()) == (np.uint16, [65_535])
    assert len(characters) - 1 == vocabulary.MAX_CHARACTERS
    with pytest.raises(InputError, match="65,536 different characters; at most 65,535"):
        vocabulary.build_vocabulary(characters)


def test_character_outside_the_vocabulary_is_named():
    with pytest.raises(ValueError, match=r"'é' is not in the vocabulary '\.aemv'"):
        vocabulary.encode("emmé", [".", "a", "e", "m", "v"])
