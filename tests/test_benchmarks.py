"""The notebooks' loops that the project is timed against do the same work as the project."""

import sys

import torch
import torch.nn.functional as F
from torch import Generator

from benchmarks import notebooks
from charlm import examples as contexts
from charlm.models import mlp as models
from stages import build_contexts, train_bigram_count, train_mlp
from tests.conftest import ROOT, Project

WORDS = ["emma", "olivia", "ava", "emma"]
ITOS = list(notebooks.ITOS.values())


def test_contexts_and_counts_are_the_projects():
    for block_size in (1, 3):
        X, Y = notebooks.build_dataset(WORDS, block_size)
        ours = build_contexts.build(WORDS, ITOS, block_size)
        assert X.tolist() == ours["contexts"].tolist()
        assert Y.tolist() == ours["targets"].tolist()
    ours = build_contexts.build(WORDS, ITOS, 1)
    counts = contexts.pair_counts(ours["contexts"], ours["targets"], 27)
    P = train_bigram_count.normalise(counts, smoothing=1)
    assert torch.allclose(notebooks.count(WORDS).double(), torch.from_numpy(P), atol=1e-6)


def test_start_and_loss_of_the_mlp_are_the_projects():
    generator = Generator().manual_seed(2147483647)
    parameters = models.start_mlp(27, 3, 10, 200, "normal", generator)
    for theirs, ours in zip(notebooks.start(), parameters.values(), strict=True):
        assert torch.equal(theirs, ours)
    examples = train_mlp.Examples.of(build_contexts.build(WORDS, ITOS, 3), 27)
    theirs = torch.tensor(notebooks.loss(notebooks.start(), *notebooks.build_dataset(WORDS, 3)))
    assert torch.allclose(theirs, train_mlp.full_loss(parameters, examples), rtol=1e-6)


def test_notebooks_training_learns():
    X, Y = notebooks.build_dataset(WORDS, 3)
    model = notebooks.start()
    before = notebooks.loss(model, X, Y)
    torch.manual_seed(0)
    notebooks.train_mlp(model, X, Y, steps=200)
    assert notebooks.loss(model, X, Y) < 1 < before
    xs, ys = (tensor.flatten() for tensor in notebooks.build_dataset(WORDS, 1))
    W = notebooks.train_neural_bigram(xs, ys, steps=200)
    assert F.cross_entropy(W[xs], ys) < 1.5


def test_nothing_of_the_project_reaches_the_notebooks_side():
    code = (
        "import sys, benchmarks.compare, benchmarks.notebooks, benchmarks.timed; "
        "print([name for name in sys.modules if name.split('.')[0] in ('charlm', 'stages')])"
    )
    assert Project(ROOT).run(sys.executable, "-c", code).stdout == "[]\n"
