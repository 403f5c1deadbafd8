"""The GRU as it is trained: a recurrent network with gates (Cho et al. 2014).

`charlm.models.gru` computes the same logits from the stored tensors, without torch.
"""

import numpy as np
import torch
from torch import Generator, Tensor, nn

from charlm.data.tensors import Arrays
from charlm.models.prefixes import Level


class GRU(nn.Module):
    """A state that each symbol of a name updates, and a linear layer that predicts from it.

    Its parameters, all float32, are X (symbols, 3 * hidden), what each symbol adds to the two gates
    and to the new state; U (hidden, 3 * hidden), what the state adds; their bias b (3 * hidden,);
    and W (hidden, symbols), c (symbols,) of the output. The reset gate is applied after the product
    with U, as in torch.nn.GRU.
    """

    def __init__(self, symbols: int, hidden: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.X = nn.Parameter(torch.empty(symbols, 3 * hidden))
        self.U = nn.Parameter(torch.empty(hidden, 3 * hidden))
        self.b = nn.Parameter(torch.empty(3 * hidden))
        self.W = nn.Parameter(torch.empty(hidden, symbols))
        self.c = nn.Parameter(torch.empty(symbols))

    @torch.no_grad()
    def initialise(self, generator: Generator) -> None:
        """Draw the weights; the bias of the update gate lets the state last at first."""
        self.X.normal_(0, 0.5, generator=generator)
        self.U.normal_(0, self.hidden**-0.5, generator=generator)
        self.W.normal_(0, 0.01, generator=generator)
        self.b.zero_()
        self.b[self.hidden : 2 * self.hidden] = 1
        self.c.zero_()

    def forward(self, levels: list[Level], masks: list[Tensor] | None = None) -> Tensor:
        """Return the logits of what follows each prefix, those of length 0 first.

        Args:
            levels: the prefixes of names, by length.
            masks: two of the dropout, (names, hidden): of the state that is read back and of the
                state that predicts. One mask for all steps of a name (Gal & Ghahramani 2016).
        """
        state = self.X.new_zeros(1, self.hidden)
        states = []
        for symbols, parents, names in levels:
            state = state[torch.from_numpy(parents)]
            read = state if masks is None else state * masks[0][torch.from_numpy(names)]
            x = self.X[torch.from_numpy(symbols)] + self.b
            state = self.step(x, state, read @ self.U)
            states.append(state if masks is None else state * masks[1][torch.from_numpy(names)])
        return torch.cat(states) @ self.W + self.c

    def step(self, x: Tensor, state: Tensor, u: Tensor) -> Tensor:
        """Return the next state, from what the symbol and the state add: (prefixes, hidden)."""
        reset_x, update_x, new_x = x.split(self.hidden, dim=1)
        reset_u, update_u, new_u = u.split(self.hidden, dim=1)
        reset, update = torch.sigmoid(reset_x + reset_u), torch.sigmoid(update_x + update_u)
        return torch.lerp(torch.tanh(new_x + reset * new_u), state, update)


def stacked(networks: list[GRU], start: int) -> Arrays:
    """Return the tensors of networks to store, and the number of the symbol before a name."""
    tensors = [network.state_dict() for network in networks]
    arrays = {key: torch.stack([one[key] for one in tensors]).numpy() for key in tensors[0]}
    return arrays | {"start": np.array(start)}


def count_parameters(symbols: int, hidden: int) -> int:
    """Return how many numbers are trained."""
    return 3 * hidden * (symbols + hidden + 1) + (hidden + 1) * symbols
