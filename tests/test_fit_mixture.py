import pytest
import torch

from stages.fit_mixture import fit


def probabilities(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_weight_by_hand():
    # the likelihood is (w)(w)(1 - w): greatest at two thirds
    assert fit(probabilities(1, 1, 0), probabilities(0, 0, 1)) == pytest.approx(2 / 3, abs=1e-6)
    # log(0.5 + 0.4 w) + log(0.6 - 0.4 w) is greatest where both are equal
    assert fit(probabilities(0.9, 0.2), probabilities(0.5, 0.6)) == pytest.approx(1 / 8, abs=1e-6)


def test_weight_is_the_best_of_a_grid():
    generator = torch.Generator().manual_seed(1)
    first, second = torch.rand((2, 500), generator=generator, dtype=torch.float64)
    grid = torch.linspace(0, 1, 1001, dtype=torch.float64).unsqueeze(1)
    likelihood = (grid * first + (1 - grid) * second).log().sum(dim=1)
    assert fit(first, second) == pytest.approx(grid[likelihood.argmax()].item(), abs=1e-3)


def test_better_model_gets_all_the_weight():
    assert fit(probabilities(0.9, 0.8), probabilities(0.5, 0.5)) == pytest.approx(1, abs=1e-6)


def test_weight_is_a_half_if_there_is_nothing_to_fit():
    assert fit(probabilities(), probabilities()) == 0.5
