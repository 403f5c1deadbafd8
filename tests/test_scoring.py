import numpy as np
import pytest

from charlm.core.errors import InputError
from charlm.data import examples
from charlm.models.base import log_probabilities
from charlm.models.bigram_neural import BigramNeural
from charlm.scoring import Characters, score
from tests.test_models import random_mlp

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # of numpy, on stderr


@pytest.mark.parametrize(
    ("max_cells", "computed"),
    [(1, [[[0]], [[1]], [[2]]]), (7, [[[0], [1]], [[2]]]), (2**16, [[[0], [1], [2]]])],
)
def test_each_unique_context_is_computed_once(
    monkeypatch: pytest.MonkeyPatch, max_cells: int, computed: list[list[list[int]]]
):
    monkeypatch.setattr(examples, "MAX_CELLS", max_cells)
    rows = []

    class Watched(BigramNeural):
        def logits(self, contexts: np.ndarray) -> np.ndarray:
            rows.append(contexts.tolist())
            return super().logits(contexts)

    W = np.arange(9, dtype=np.float32).reshape(3, 3)
    model = Watched({"W": W}, 3)
    contexts = np.array([[0, 2], [1, 0], [2, 2], [0, 1], [1, 2]], dtype=np.uint8)
    targets = np.array([2, 0, 1, 1, 2], dtype=np.uint8)
    found = score(model, contexts, targets)
    assert rows == computed
    expected = -log_probabilities(W)
    assert found.nll.tolist() == expected[[2, 0, 2, 1, 2], [2, 0, 1, 1, 2]].tolist()
    # the largest logit of each row is the last one
    assert found.is_correct.tolist() == [True, False, False, False, True]


def test_no_characters_have_no_scores():
    model = BigramNeural({"W": np.zeros((3, 3), np.float32)}, 3)
    found = score(model, np.zeros((0, 2), dtype=np.uint8), np.zeros(0, dtype=np.uint8))
    assert (found.nll.shape, found.is_correct.shape) == ((0,), (0,))


def test_no_names_have_no_characters():
    found = Characters.of([])
    assert (found.name.tolist(), found.position.tolist()) == ([], [])


def test_contexts_shorter_than_the_block_size_are_refused():
    model = random_mlp(3, block_size=2)
    with pytest.raises(InputError, match=r"^mlp needs contexts of 2 symbols; found 1$"):
        score(model, np.zeros((1, 1), dtype=np.uint8), np.zeros(1, dtype=np.uint8))
