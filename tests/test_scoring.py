import math

import numpy as np
import pytest
import torch

from charlm import scoring
from charlm.errors import InputError
from charlm.models.bigram_neural import BigramNeural
from charlm.models.mlp import MLP
from charlm.scoring import log_probabilities, next_log_probabilities
from tests.conftest import limit_memory


def test_logits_of_zero_give_the_uniform_loss():
    found = log_probabilities(torch.zeros(1, 27))
    assert found.dtype == torch.float64
    assert -found[0, 5].item() == pytest.approx(math.log(27), abs=1e-12)


def test_large_logits_stay_finite_where_exp_overflows():
    logits = torch.tensor([[100.0, -100.0, 0.0]])
    assert (logits * 10).exp().isinf().any()  # the overflow that the notebooks run into
    assert log_probabilities(logits * 10).tolist() == [[0.0, -2000.0, -1000.0]]


@pytest.mark.parametrize("max_rows", [1, 2, 2**16])
def test_each_unique_context_is_computed_once(monkeypatch: pytest.MonkeyPatch, max_rows: int):
    monkeypatch.setattr(scoring, "MAX_ROWS", max_rows)
    W = torch.arange(9.0).reshape(3, 3)
    model = BigramNeural.from_tensors({"W": W}, 3)
    contexts = np.array([[0, 2], [1, 0], [2, 2], [0, 1], [1, 2]], dtype=np.uint8)
    found, inverse = next_log_probabilities(model, contexts)
    assert found.tolist() == log_probabilities(W).tolist()
    assert inverse.tolist() == [2, 0, 2, 1, 2]


def test_memory_of_probabilities_is_estimated(monkeypatch: pytest.MonkeyPatch):
    model = BigramNeural.from_tensors({"W": torch.zeros(3, 3)}, 3)
    contexts = np.array([[1], [2], [1]], dtype=np.uint8)
    # six tables of 3 symbols after 2 contexts
    limit_memory(monkeypatch, 6 * 3 * 2 * 8)
    assert next_log_probabilities(model, contexts)[0].shape == (2, 3)
    limit_memory(monkeypatch, 6 * 3 * 2 * 8 - 1)
    with pytest.raises(InputError, match="probabilities of bigram_neural after 2 contexts would"):
        next_log_probabilities(model, contexts)


def test_contexts_shorter_than_the_block_size_are_refused():
    model = MLP(3, block_size=2, embedding=1, hidden=1)
    with pytest.raises(
        InputError, match=r"^mlp needs contexts of 2 symbols; found 1; run `dvc repro`$"
    ):
        next_log_probabilities(model, np.zeros((1, 1), dtype=np.uint8))
