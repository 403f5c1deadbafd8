"""Embeddings projected to two dimensions, for pictures."""

from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor


class Plane(TypedDict):
    """Where the symbols of an embedding are in two dimensions."""

    axes: list[str]  # labels of the two axes
    places: list[list[float]]  # (symbols, 2)


@torch.no_grad()
def principal_plane(C: Tensor) -> Plane:
    """Project an embedding to its first two principal components.

    One of two dimensions stays as it is, and one of a single dimension becomes a line.

    Args:
        C: (symbols, embedding) float32.
    """
    dimensions = C.shape[1]
    if dimensions <= 2:
        places = F.pad(C.double(), (0, 2 - dimensions))
        axes = ["dimension 1", "dimension 2"][:dimensions] + [""] * (2 - dimensions)
        return {"axes": axes, "places": places.tolist()}
    centred = C.double() - C.double().mean(dim=0)
    U, S, _ = torch.linalg.svd(centred, full_matrices=False)
    # the sign of a component is arbitrary: make its largest entry positive
    U = U * U.gather(0, U.abs().argmax(dim=0, keepdim=True)).sign()
    shares = S**2 / (S**2).sum()
    axes = [
        f"{which} principal component: {share:.0%} of the variance"
        for which, share in zip(("first", "second"), shares.tolist(), strict=False)
    ]
    return {"axes": axes, "places": (U * S)[:, :2].tolist()}
