import pytest
import torch

from charlm.projection import principal_plane


def test_embedding_of_two_dimensions_is_shown_as_it_is():
    C = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])
    assert principal_plane(C) == {"axes": ["dimension 1", "dimension 2"], "places": C.tolist()}
    assert principal_plane(C[:, :1]) == {
        "axes": ["dimension 1", ""],
        "places": [[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]],
    }


def test_larger_embedding_is_projected_to_its_principal_components():
    # along the diagonal of the first two axes, 9 times the variance along the third; nothing else
    along, across = torch.tensor([1.0, 1.0, 0.0]) / 2**0.5, torch.tensor([0.0, 0.0, 1.0])
    C = torch.stack(
        [7 + 6 * along, 7 - 3 * along, 7 - 3 * along, 7 + across, 7 + across, 7 - 2 * across]
    )
    plane = principal_plane(C)
    # the largest entry of a component is positive
    expected = [[6, 0], [-3, 0], [-3, 0], [0, -1], [0, -1], [0, 2]]
    for place, by_hand in zip(plane["places"], expected, strict=True):
        assert place == pytest.approx(by_hand, abs=1e-6)
    assert plane["axes"] == [
        "first principal component: 90% of the variance",
        "second principal component: 10% of the variance",
    ]


def test_trained_parameter_needs_no_detaching():
    C = torch.nn.Parameter(torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 1.0], [5.0, 7.0, 5.0]]))
    assert principal_plane(C) == principal_plane(C.detach())
