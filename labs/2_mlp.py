# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 2: a multi-layer perceptron
#
# A bigram model sees one character. In this lab the model sees three, and it learns an embedding: a
# point for each character, with similar characters close together. A multi-layer perceptron (MLP)
# has at least one hidden layer between its inputs and its outputs. This is the network of [Bengio
# et al. (2003)](https://www.jmlr.org/papers/v3/bengio03a.html), for characters instead of words.
#
# The order is that of [the lecture on the MLP](https://www.youtube.com/watch?v=TCH_1BHY58I) by
# Andrej Karpathy. Each step is shown twice: in a few lines of torch, and as this project's pipeline
# does it.
#
# Run the cells from top to bottom. Before that, run `make repro` once. The trainings in the cells
# are short. The long ones are commands to type in a terminal, with their results beside them.
# Exercises with solutions are at the end.

# %%
import os
import sys

os.chdir("." if os.path.exists("dvc.yaml") else "..")  # to the root of the project
sys.path.insert(0, os.getcwd())

# %%
from labs import checks_mlp as check
from labs import support

lab = support.load("2_mlp")

# %% [markdown]
# The pipeline's modules come first, because they fix how torch computes: with one thread, and with
# the same instructions on every x86-64 processor.

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

# %% [markdown]
# ## 1. Contexts
#
# With one character of context the table of lab 1 has 27 rows. With three it has 27 × 27 × 27 =
# 19,683, and most of them stay empty. A network needs no row for each context: it computes with the
# characters.
#
# An **example** is a context of three characters and the character that follows. The length of the
# context is the **block size**. Three dots come before each name. `X` holds the contexts as
# numbers, and `Y` holds what follows.

# %%
names = lab.names
itos = ["."] + sorted(set("".join(names)))  # the symbol of each number
stoi = {symbol: number for number, symbol in enumerate(itos)}  # and back


def build(names, block_size=3):
    X, Y = [], []
    for name in names:
        context = [0] * block_size
        for symbol in name + ".":
            X.append(context)
            Y.append(stoi[symbol])
            context = context[1:] + [stoi[symbol]]  # the oldest leaves, the newest enters
    return torch.tensor(X), torch.tensor(Y)


X5, Y5 = build(names[:5])
for x, y in zip(X5[:5], Y5[:5]):
    print("".join(itos[i] for i in x), "→", itos[y], "  ", x.tolist(), "→", y.item())
print("X", tuple(X5.shape), X5.dtype, "  Y", tuple(Y5.shape), Y5.dtype)

# %% [markdown]
# `emma` gives five examples: one for each letter, and one for the end. Five names give 32.
#
# The pipeline has stored the examples of its three splits in `data/contexts/mlp/`.

# %%
from safetensors.torch import load_file

stored = load_file("data/contexts/mlp/train.safetensors")
X, Y = build(names)
X_train, Y_train = build(lab.train)
X_dev, Y_dev = build(lab.dev)
print(f"{len(X):,} examples of all names, {len(X_train):,} of train, {len(X_dev):,} of dev")
print("the pipeline's contexts are the same:", torch.equal(stored["contexts"].long(), X_train))
print(f"different contexts in train: {len(X_train.unique(dim=0)):,}")

# %% [markdown]
# Of 19,683 possible contexts, 5,438 occur in train. For all others a table would have nothing to
# say.

# %% [markdown]
# ## 2. Embeddings
#
# Each symbol gets a row of a table `C`. Here a row has two numbers, so it is a point in the plane
# and we can draw it. The points are random at first. Training will move them.

# %%
generator = torch.Generator().manual_seed(2147483647)
C = torch.randn((len(itos), 2), generator=generator)
print("row 5 by its index:        ", C[5])
one_hot = F.one_hot(torch.tensor(5), num_classes=len(itos)).float()
print("row 5 as a one-hot product:", one_hot @ C)

# %% [markdown]
# Both ways give the same row. The product multiplies every row of `C` by 0 or 1 to pick one, so we
# use the index. But the product shows what an embedding is: a first layer of weights, without a
# bias (a number added to each output).
#
# An index can be a whole tensor. `C[X5]` looks up all 32 × 3 symbols at once.

# %%
emb = C[X5]
print("C[X5]:", tuple(emb.shape), "= examples, characters, dimensions")
print("at example 13, character 2:", X5[13, 2].item(), emb[13, 2], C[X5[13, 2]])

# %% [markdown]
# ## 3. Views and concatenation
#
# The next layer wants one row of six numbers per example: the three embeddings side by side.
# Concatenating them is one way. A **view** is another: the same numbers in memory, read with
# another shape.

# %%
by_parts = torch.cat([emb[:, 0], emb[:, 1], emb[:, 2]], dim=1)
for_any_length = torch.cat(torch.unbind(emb, dim=1), dim=1)  # unbind: emb[:, 0], emb[:, 1], …
view = emb.view(len(emb), -1)  # -1: torch computes what is left, here 3 * 2
print(tuple(by_parts.shape), tuple(for_any_length.shape), tuple(view.shape))
print("equal:", torch.equal(by_parts, for_any_length) and torch.equal(by_parts, view))
print("view in the memory of emb: ", view.data_ptr() == emb.data_ptr())
print("cat in the memory of emb:  ", by_parts.data_ptr() == emb.data_ptr())

# %% [markdown]
# `cat` copies, and a view costs nothing. A tensor is one long row of numbers in memory; its shape
# only says how to read them.

# %%
numbers = torch.arange(18)
print(numbers.view(3, 6))
print(numbers.view(9, 2)[:2], "… the same 18 numbers")

# %% [markdown]
# ## 4. The forward pass
#
# The six numbers go through a **hidden layer** of 100 units: each unit is a weighted sum of the
# six, with weights `W1`, plus a bias from `b1`, and `tanh` squeezes it between -1 and 1. A second
# layer, `W2` and `b2`, turns them into 27 **logits**, one per symbol. `C`, `W1`, `b1`, `W2` and
# `b2` are the **parameters**, which training changes.

# %%
figure, axes = plt.subplots(figsize=(9, 1.2))
axes.set(xlim=(0, 12), ylim=(0, 2))
axes.axis("off")
layers = ["e m m", "C\n3 by 2", "view\n6", "W1, b1, tanh\n100", "W2, b2\n27 logits", "softmax\n27"]
for place, text in enumerate(layers):
    axes.text(1 + 2 * place, 1, text, ha="center", va="center", fontsize=9)
    axes.add_patch(plt.Rectangle((0.25 + 2 * place, 0.4), 1.5, 1.2, fill=False, color="tab:blue"))
    if place:
        axes.annotate(
            "", (0.25 + 2 * place, 1), (2 * place - 0.25, 1), arrowprops={"arrowstyle": "->"}
        )
support.show("The network: 3 characters, 3 by 2 embeddings, 6 inputs, 100 units, 27 logits.")


# %%
def new_parameters(embedding, hidden, block_size=3, seed=2147483647):
    generator = torch.Generator().manual_seed(seed)
    symbols = len(itos)
    C = torch.randn((symbols, embedding), generator=generator)
    W1 = torch.randn((block_size * embedding, hidden), generator=generator)
    b1 = torch.randn(hidden, generator=generator)
    W2 = torch.randn((hidden, symbols), generator=generator)
    b2 = torch.randn(symbols, generator=generator)
    return [tensor.requires_grad_() for tensor in (C, W1, b1, W2, b2)]


def forward(parameters, x):
    C, W1, b1, W2, b2 = parameters
    emb = C[x].flatten(start_dim=1)  # the view of section 3
    h = torch.tanh(emb @ W1 + b1)
    return h @ W2 + b2


parameters = new_parameters(embedding=2, hidden=100)
logits = forward(parameters, X5)
print("logits:", tuple(logits.shape))
print(f"{sum(tensor.numel() for tensor in parameters):,} parameters")

# %% [markdown]
# `b1` has 100 numbers, and `emb @ W1` has 32 × 100. Adding them works because torch lines up the
# last dimensions, and adds the same 100 biases to each of the 32 rows: broadcasting, as in lab 1.
#
# The pipeline's network is `charlm/networks/mlp.py`. From the same seed it has the same parameters
# and the same logits.

# %%
from charlm.networks.mlp import MLP

network = MLP(symbols=len(itos), block_size=3, embedding=2, hidden=100)
network.initialise("normal", torch.Generator().manual_seed(2147483647))
print("the same logits:", torch.allclose(network(X5), logits, atol=1e-5))

# %% [markdown]
# ## 5. The loss
#
# As in lab 1: `exp` and a division turn logits into probabilities, and the loss is the mean
# negative logarithm of the probability of the symbol that really follows. `F.cross_entropy`
# computes it from the logits in one call.

# %%
counts = logits.exp()
probabilities = counts / counts.sum(dim=1, keepdim=True)
by_hand = -probabilities[torch.arange(len(Y5)), Y5].log().mean()
lab.number("loss by hand", by_hand.item(), 17.76, 17.78)
lab.number("F.cross_entropy", F.cross_entropy(logits, Y5).item(), 17.76, 17.78)

# %% [markdown]
# 17.77 is far worse than a uniform guess, ln 27 = 3.30. The random weights make logits that are
# large, so the network is very sure of wrong answers.
#
# Both lines agree. Why then use `F.cross_entropy`? It stores no tensors in between, its gradient is
# simpler, and it works for large logits. In float32 `exp` is infinite above 88.7.

# %%
large = torch.tensor([-100.0, -3, 0, 100])
print("exp:          ", large.exp())
print("by hand:      ", large.exp() / large.exp().sum())
shifted = large - large.max()
print("max first:    ", shifted.exp() / shifted.exp().sum())
print("F.softmax:    ", F.softmax(large, dim=0))
print("cross-entropy of the first:", F.cross_entropy(large, torch.tensor(0)).item())

# %% [markdown]
# Infinity divided by infinity is `nan`. Subtracting the largest logit first changes no probability,
# and then `exp` sees nothing above 0. `F.cross_entropy` does that, and stays finite even where the
# probability itself is too small to be stored.
#
# The pipeline scores a name with the model that it has trained, in the same way.

# %%
support.run("python -m tools.score emma --model mlp")

# %% [markdown]
# ## 6. Memorise five names
#
# A first test of any training loop: can it fit a handful of examples? Each step computes the loss,
# sets the gradients to `None`, computes new ones with `backward`, and moves each parameter a little
# against its gradient. `requires_grad_()` above told torch to record what is computed from the
# parameters; `backward` needs that. `lr` is the learning rate.


# %%
def step(parameters, x, y, lr):
    loss = F.cross_entropy(forward(parameters, x), y)
    for tensor in parameters:
        tensor.grad = None
    loss.backward()
    for tensor in parameters:
        tensor.data -= lr * tensor.grad
    return loss.item()


five = new_parameters(embedding=2, hidden=100)
curve = [step(five, X5, Y5, lr=0.1) for _ in range(1000)]
lowest = 5 * torch.log(torch.tensor(5.0)).item() / 32
lab.number("first loss", curve[0], 17.76, 17.78)
lab.number("loss of the 1000th step", curve[-1], 0.25, 0.26)
lab.number("5 ln 5 / 32", lowest, 0.2514, 0.2516)

figure, axes = plt.subplots(figsize=(6, 3))
axes.semilogy(curve)
axes.axhline(lowest, color="grey", linestyle=":", label="5 ln 5 / 32")
axes.set(xlabel="step", ylabel="loss of the five names")
axes.legend()
support.show("The loss of five names falls from 17.8 and stays just above 0.2515.")

# %% [markdown]
# 3,481 parameters memorise 32 examples. That is **overfitting**: about names in general this
# network knows nothing. But the loss does not reach 0: it stays above the dotted line, whose
# formula we derive now. Where is the network wrong?

# %%
guesses = forward(five, X5).argmax(dim=1)
for x, y, guess in zip(X5, Y5, guesses):
    if guess != y:
        print("".join(itos[i] for i in x), "→", itos[y], "  guessed", itos[guess])
print(f"{(guesses == Y5).sum()} of {len(Y5)} are right")

# %% [markdown]
# All mistakes are first letters. Five names begin with five different letters, and `...` does not
# tell which comes next. The best that any model can do is 1/5 for each, a loss of ln 5 = 1.609.
# There are 5 such examples of 32, and the others can reach 0: so the loss stops at 5 ln 5 / 32 =
# 0.2515.
#
# The pipeline, in a terminal: `python -m tools.recipes five-names`. It reaches 0.2561.

# %% [markdown]
# ## 7. Gradients that are never zeroed
#
# Leave out the line `tensor.grad = None`, and torch *adds* each new gradient to all earlier ones.
# There is no error.


# %%
def step_without_zeroing(parameters, x, y, lr):
    loss = F.cross_entropy(forward(parameters, x), y)
    loss.backward()
    for tensor in parameters:
        tensor.data -= lr * tensor.grad
    return loss.item()


forgetful = new_parameters(embedding=2, hidden=100)
curve_forgetful = [step_without_zeroing(forgetful, X5, Y5, lr=0.1) for _ in range(200)]

figure, axes = plt.subplots(figsize=(6, 3))
axes.plot(curve[:200], label="gradients set to None")
axes.plot(curve_forgetful, label="never zeroed")
axes.set(xlabel="step", ylabel="loss of the five names")
axes.legend()
support.show("With gradients that add up the loss falls faster at first, then swings up and down.")
for number in (2, 20, 200):
    print(
        f"step {number:3}: {curve[number - 1]:.2f}, never zeroed {curve_forgetful[number - 1]:.2f}"
    )

# %% [markdown]
# At first the loss falls even faster: old gradients point the same way, and the steps grow. Then
# they carry the parameters past every valley. A loss that falls does not prove that the loop is
# right.
#
# In the pipeline this line is `model.zero_grad()` in `stages/train_mlp.py`.

# %% [markdown]
# ## 8. Mini-batches
#
# All names have 228,146 examples. One step over all of them is exact, but slow. A **mini-batch** of
# 32 examples, drawn at random, gives a rough gradient in a tiny part of the time. Many rough steps
# beat a few exact ones.


# %%
def train(parameters, X, Y, steps, lr, batch_size=32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        ix = torch.randint(len(X), (batch_size,), generator=generator)  # rows of the batch
        losses.append(step(parameters, X[ix], Y[ix], lr))
    return losses


@torch.no_grad()  # nothing to record: there will be no backward
def mean_loss(parameters, X, Y):
    return F.cross_entropy(forward(parameters, X), Y).item()


exact = new_parameters(embedding=2, hidden=100)
for _ in range(3):
    step(exact, X, Y, lr=0.1)
lab.number("all names after 3 exact steps", mean_loss(exact, X, Y), 14.7, 15)

rough = new_parameters(embedding=2, hidden=100)
batches = train(rough, X, Y, steps=3_000, lr=0.1)
lab.number("all names after 3,000 rough steps", mean_loss(rough, X, Y), 2.4, 2.7)

# %% [markdown]
# The 3,000 rough steps have seen 96,000 examples, and the three exact steps 684,438.

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(batches, linewidth=0.5)
left.set(xlabel="step", ylabel="loss of the mini-batch")
right.plot(torch.tensor(batches).log10(), linewidth=0.5)
right.set(xlabel="step", ylabel="log10 of the loss")
support.show("Losses of 3,000 mini-batches: a steep fall, then a thick noisy band.")

# %% [markdown]
# Every step sees other examples, so the curve is noisy even where the network hardly changes. The
# steep beginning hides the rest; its logarithm, on the right, shows both. One batch is no measure:
# for that, take the mean over many examples.
#
# The pipeline: `python -m tools.recipes mini-batch-32` takes 1,000 steps and reaches 2.68 ± 0.04
# (mean and standard deviation over seeds).

# %% [markdown]
# ## 9. The learning rate
#
# How long should a step be? Start with a tiny rate, raise it a little with every step, and watch
# the loss. 1,000 rates from 0.001 to 1, with evenly spaced exponents:

# %%
exponents = torch.linspace(-3, 0, 1000)
searched = new_parameters(embedding=2, hidden=100)
generator = torch.Generator().manual_seed(1)
losses = []
for exponent in exponents:
    ix = torch.randint(len(X), (32,), generator=generator)
    losses.append(step(searched, X[ix], Y[ix], lr=10**exponent))
smoothed = torch.tensor(losses).unfold(0, 150, 1).mean(dim=1)  # means over 150 steps
centres = exponents[75 : 75 + len(smoothed)]
best = centres[smoothed.argmin()].item()
lab.number("exponent at the valley", best, -1.2, -0.6)

# %% [markdown]
# The pipeline's stage `find_learning_rate` does the same on train. Its curve is in
# `plots/learning_rate.csv`.

# %%
import csv

with open("plots/learning_rate.csv", newline="") as file:
    rows = [[float(value) for value in row.values()] for row in csv.DictReader(file)]
stage = torch.tensor(rows)  # exponent, rate, loss, smoothed loss

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
left.plot(10**exponents, losses, linewidth=0.4)
left.plot(10**centres, smoothed)
left.set(xlabel="learning rate", ylabel="loss of the mini-batch")
right.plot(exponents, losses, linewidth=0.4)
right.plot(centres, smoothed, label="this lab, smoothed")
right.plot(stage[:, 0], stage[:, 3], "--", label="the pipeline, smoothed")
right.axvline(best, color="grey", linestyle=":")
right.set(xlabel="exponent of the learning rate")
right.legend()
support.show(
    "The loss over the rate and over its exponent: it falls, is lowest near -0.8, then rises."
)

# %% [markdown]
# Below 0.01 little happens. Above about 0.2 the loss becomes wild. On the right, with the exponent,
# the valley is easy to see. The lecture takes 0.1, a little to the left of the lowest point, which
# is safer.
#
# Does the choice hold for a whole training?

# %%
for lr, low, high in (
    (0.001, 10, 11.5),
    (0.01, 3.3, 3.9),
    (0.1, 2.5, 2.9),
    (1, 2.8, 8),
    (10, 20, 200),
):
    tried = new_parameters(embedding=2, hidden=100)
    train(tried, X, Y, steps=1_000, lr=lr)
    lab.number(f"rate {lr}: all names after 1,000 steps", mean_loss(tried, X, Y), low, high)

# %% [markdown]
# It does: too low is slow, and too high never settles. The pipeline:
# `python -m tools.recipes rate-0.01 rate-1`.

# %% [markdown]
# ## 10. Going on, with smaller rates
#
# At a rate of 0.1 the steps keep jumping across the valley. Smaller ones go further down. `train`
# changes the parameters in place, so a second call goes on where the first one stopped. Three calls
# are a schedule in three parts.

# %%
small = new_parameters(embedding=2, hidden=100)
for part, (lr, steps) in enumerate(((0.1, 9_000), (0.05, 3_000), (0.01, 3_000)), start=1):
    train(small, X, Y, steps=steps, lr=lr, seed=part)  # another seed: other batches
    lab.number(f"all names after part {part}, rate {lr}", mean_loss(small, X, Y), 2.25, 2.65)

# %% [markdown]
# Each part lowers the loss, in the end to less than the 2.45 of the bigrams. In the pipeline the
# schedule is a setting, with the steps at which the rate changes. `sgd`, stochastic gradient
# descent, is what `train` does. In a terminal:
#
# ```sh
# dvc exp run -S mlp.schedule=parts -S mlp.steps=90000 -S mlp.lr=0.1 -S mlp.optimizer=sgd \
#     -S 'mlp.parts=[[30000,0.05],[60000,0.01]]'
# ```
#
# To go on from a model that is already trained, copy it and give its hash, so that the pipeline
# knows what the result depends on:
#
# ```sh
# cp data/models/mlp.safetensors start.safetensors
# dvc exp run -S mlp.start_from=start.safetensors -S mlp.lr=0.01 -S mlp.seed=1 \
#     -S mlp.start_from_sha256=$(sha256sum start.safetensors | cut -c -64)
# ```
#
# On macOS, `shasum -a 256` takes the place of `sha256sum`.
#
# In a cell, load the stored tensors as parameters, and call `train`.

# %%
kept = load_file("data/models/mlp.safetensors")
print({name: tuple(tensor.shape) for name, tensor in kept.items()})
names_of_ours = {"C", "W1", "b1", "W2", "b2"}
if kept.keys() == names_of_ours and stored["contexts"].shape == X_train.shape:
    copies = (kept[name].clone() for name in ("C", "W1", "b1", "W2", "b2"))
    stored_model = [tensor.requires_grad_() for tensor in copies]
    before = mean_loss(stored_model, X_dev, Y_dev)
    lab.number("the pipeline's model on dev", before, 2.0955, 2.0965)
    train(stored_model, X_train, Y_train, steps=2_000, lr=0.01)
    lab.number("after 2,000 more steps of ours", mean_loss(stored_model, X_dev, Y_dev), 2.09, 2.12)

# %% [markdown]
# Our `forward` computes the pipeline's loss on dev, 2.0960, from the stored tensors. Going on with
# batches of 32 does not help it: even at 0.01 their noise pushes a well-trained model upwards.

# %% [markdown]
# ## 11. Train, dev and test
#
# So far we have measured on the names that we trained on. A network that has memorised its names
# would look perfect. So one trains on **train**, chooses settings on **dev**, and looks at **test**
# once, at the end.

# %%
small = new_parameters(embedding=2, hidden=100)
for lr, steps in ((0.1, 10_000), (0.01, 5_000)):
    train(small, X_train, Y_train, steps, lr)
lab.number("embedding 2, hidden 100: train", mean_loss(small, X_train, Y_train), 2.3, 2.5)
lab.number("embedding 2, hidden 100: dev", mean_loss(small, X_dev, Y_dev), 2.3, 2.5)

# %% [markdown]
# Train and dev are equal. The network is too small to memorise 182,625 examples: it **underfits**,
# and a larger one can do better. After 100,000 steps both are lower, and equal again, 2.2961 and
# 2.2947: `python -m tools.recipes mlp-2-100`.
#
# Now the opposite: a larger network, and only 100 names.

# %%
X_few, Y_few = build(lab.train[:100])
few = new_parameters(embedding=2, hidden=300)
by_part = {"train, 100 names": [], "dev": []}
for part in range(20):
    train(few, X_few, Y_few, steps=250, lr=0.1, seed=part)
    by_part["train, 100 names"].append(mean_loss(few, X_few, Y_few))
    by_part["dev"].append(mean_loss(few, X_dev, Y_dev))

figure, axes = plt.subplots(figsize=(6, 3))
for label, values in by_part.items():
    axes.plot([250 * (part + 1) for part in range(20)], values, label=label)
axes.set(xlabel="step", ylabel="loss")
axes.legend()
support.show("Trained on 100 names: the loss on train keeps falling, that on dev rises.")
lab.number("100 names: train", by_part["train, 100 names"][-1], 0.8, 1.5)
lab.number("100 names: dev", by_part["dev"][-1], 5, 8)

# %% [markdown]
# Train falls and falls, while dev rises: that is **overfitting**. Only dev shows it. On new names
# this network is worse than a uniform guess, 3.30.

# %% [markdown]
# ### Split names, not examples
#
# One could also shuffle the 228,146 examples and cut those. What differs? A name is then in several
# parts at once.

# %%
order = torch.randperm(len(X), generator=torch.Generator().manual_seed(1))
cut = int(0.8 * len(X)), int(0.9 * len(X))
# the number of the name that each example comes from
owner = torch.repeat_interleave(torch.arange(len(names)), torch.tensor([len(n) + 1 for n in names]))
in_train, in_dev = set(owner[order[: cut[0]]].tolist()), set(owner[order[cut[0] : cut[1]]].tolist())
sizes = cut[0], cut[1] - cut[0], len(X) - cut[1]
print("examples in train, dev and test:", ", ".join(f"{size:,}" for size in sizes))
print(f"{len(in_dev):,} names have an example in dev, {len(in_dev & in_train):,} also one in train")
known_names = set(lab.train)
known = sum(name in known_names for name in lab.dev)
print(f"split by names: {known:,} of {len(lab.dev):,} names in dev are also in train")

# %% [markdown]
# Of the names with an example in dev, all but one have others in train. Are the losses different?

# %%
mixed = new_parameters(embedding=2, hidden=100)
in_parts = [(X[rows], Y[rows]) for rows in order.tensor_split(cut)]
for lr, steps in ((0.1, 10_000), (0.01, 5_000)):
    train(mixed, *in_parts[0], steps, lr)
for part, (x, y) in zip(("train", "dev"), in_parts):
    lab.number(f"split by examples: {part}", mean_loss(mixed, x, y), 2.3, 2.5)

# %% [markdown]
# For a small network with three characters of context they are the same as above. But such a dev
# has no new names, and cannot say how a model does on them. The more a model remembers of a name,
# the more that matters. So the pipeline splits names.
#
# Some names are in the list twice, for girls and for boys, so 13 % of dev are in train all the
# same. `split.unique=true` drops repetitions first, and `metrics/nll/dev_unseen.json` has the
# losses without them.

# %%
import json


def losses_of(split):
    with open(f"metrics/nll/{split}.json") as file:
        return json.load(file)


for split, low, high in (
    ("train", 2.03, 2.034),
    ("dev", 2.094, 2.098),
    ("dev_unseen", 2.112, 2.116),
):
    lab.number(f"the pipeline's MLP on {split}", losses_of(split)["mlp"], low, high)

# %% [markdown]
# ## 12. A larger hidden layer
#
# The small network underfits, so make it larger: 300 hidden units instead of 100, 10,281
# parameters. And compare two sizes of batch.

# %%
wide = new_parameters(embedding=2, hidden=300)
C_before = wide[0].detach().clone()
by_32 = train(wide, X_train, Y_train, steps=10_000, lr=0.1)
by_32 += train(wide, X_train, Y_train, steps=5_000, lr=0.01, seed=2)
by_500 = train(new_parameters(2, 300), X_train, Y_train, steps=1_500, lr=0.1, batch_size=500)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), sharey=True, layout="constrained")
left.plot(torch.tensor(by_32).log10(), linewidth=0.3)
left.axvline(10_000, color="grey", linestyle=":")
left.set(title="batches of 32", xlabel="step", ylabel="log10 of the loss")
right.plot(torch.tensor(by_500).log10(), linewidth=0.5)
right.set(title="batches of 500", xlabel="step")
support.show("Losses of 300 hidden units: a thick band with batches of 32, a thin line with 500.")
lab.number("embedding 2, hidden 300: train", mean_loss(wide, X_train, Y_train), 2.3, 2.5)
lab.number("embedding 2, hidden 300: dev", mean_loss(wide, X_dev, Y_dev), 2.3, 2.5)

# %% [markdown]
# The band is thick because a batch of 32 says little about all names; at the dotted line the rate
# falls to 0.01, and the band with it. Batches of 500 make a thinner line.
#
# Three times as many units help only a little, here and after 100,000 steps: 2.2712 on train and
# 2.2763 on dev (`python -m tools.recipes mlp-2-300`) instead of 2.2961 and 2.2947. Train and dev
# are nearly equal, so it is not overfitting. Something else is the bottleneck.

# %% [markdown]
# ## 13. Embeddings in the plane
#
# With two dimensions we can look at `C`, before and after training.


# %%
def draw_places(places, axes, title):
    axes.scatter(*places.T, s=12)
    apart = places[:, None] - places  # each letter goes beside its point, away from the others
    push = (apart / apart.norm(dim=2, keepdim=True).clamp(min=1e-9) ** 4).sum(dim=1)
    for symbol, place, offset in zip(itos, places.tolist(), F.normalize(push, dim=1).tolist()):
        where = {"xytext": [8 * part for part in offset], "textcoords": "offset points"}
        axes.annotate(symbol, place, fontsize=11, ha="center", va="center", **where)
    axes.margins(0.08)
    axes.set(title=title, xlabel="first dimension", ylabel="second dimension")


figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.5), layout="constrained")
draw_places(C_before, left, "before training")
draw_places(wide[0].detach(), right, "after training")
support.show(
    "27 symbols in the plane: scattered at first, then vowels together and q, u and . apart."
)

# %% [markdown]
# Before training the places mean nothing. Afterwards `a`, `e`, `i`, `o` and `y` are close together,
# most consonants are in the middle, and `q`, `u` and the dot lie apart, as does `g`, which began
# far out. Close symbols are those after which similar symbols come: the network can treat them
# alike. That two letters often follow each other does *not* bring them together.
#
# Two dimensions are little room for 27 symbols. Is that the bottleneck?

# %% [markdown]
# ## 14. A larger embedding
#
# Ten dimensions, and 200 hidden units: 11,897 parameters.

# %%
model = new_parameters(embedding=10, hidden=200)
for part, (lr, steps) in enumerate(((0.1, 20_000), (0.01, 10_000)), start=1):
    train(model, X_train, Y_train, steps, lr, seed=part)
lab.number("embedding 10, hidden 200: train", mean_loss(model, X_train, Y_train), 2.2, 2.35)
lab.number("embedding 10, hidden 200: dev", mean_loss(model, X_dev, Y_dev), 2.2, 2.4)

# %% [markdown]
# Yes: this is better than both networks with two dimensions. After 100,000 steps it has 2.1780 on
# train and 2.2024 on dev (`python -m tools.recipes mlp-10-200`), and the lecture's last training,
# of 200,000 steps, reaches 2.16 on dev (`python -m tools.recipes lecture`). A gap between train and
# dev opens: overfitting begins.
#
# The pipeline's own model has the same size. Its losses during training are in `plots/mlp.csv`. Its
# embedding has ten dimensions, so we draw it along the two directions in which the symbols differ
# most, its first two principal components.

# %%
from charlm.projection import principal_plane

if len(kept["C"]) == len(itos):
    with open("plots/mlp.csv", newline="") as file:
        rows = [(row["split"], int(row["step"]), float(row["nll"])) for row in csv.DictReader(file)]
    plane = principal_plane(kept["C"])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for part in ("train", "dev"):
        left.plot(
            *zip(*[(number, nll) for split, number, nll in rows if split == part]), label=part
        )
    left.set(title="the pipeline's training", xlabel="step", ylabel="loss")
    left.legend()
    draw_places(torch.tensor(plane["places"]), right, "its ten dimensions, seen in two")
    right.set(xlabel=plane["axes"][0], ylabel=plane["axes"][1])
    support.show("Left: losses on train and dev fall in 800 steps. Right: 27 symbols, spread out.")
    begin = torch.randn(kept["C"].shape, generator=torch.Generator().manual_seed(2147483647))
    likeness = F.cosine_similarity(begin, kept["C"], dim=1).mean().item()
    lab.number("mean cosine of the angle between a row of C before and after", likeness, 0.8, 0.9)

# %% [markdown]
# On the left, 800 steps lead to 2.0960 on dev. This training starts better (section 16), uses
# larger batches, another rule for its steps (AdamW), and a rate that rises and falls. The curve of
# train is rough because it shows single batches.
#
# On the right the vowels are *not* together. With ten dimensions there is room for all: most rows
# still point roughly where they pointed at the start (a cosine of 1 is the same direction, 0 a
# right angle), and the hidden layer does the sorting. And two of ten dimensions hide most
# distances.
#
# When all settings are chosen, test is evaluated, once:
# `dvc exp run -S 'evaluate.splits=[train,dev,test]'`. It has 2.0959, like dev.

# %% [markdown]
# ## 15. Sampling
#
# Start with three dots, draw the next symbol, move the context on by one, stop at a dot.


# %%
@torch.no_grad()
def sample(parameters, count, block_size=3, seed=2147483647 + 10, longest=60):
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        context, name = [0] * block_size, ""
        while len(name) < longest:
            probabilities = F.softmax(forward(parameters, torch.tensor([context])), dim=1)
            ix = torch.multinomial(probabilities, 1, generator=generator).item()
            if ix == 0:
                break
            name += itos[ix]
            context = context[1:] + [ix]
        made.append(name)
    return made


print("untrained:", ", ".join(sample(new_parameters(10, 200), 4)))
print("trained:  ", ", ".join(sample(model, 12)))

# %% [markdown]
# Three characters of context make names that could be real. The pipeline's model:

# %%
support.run("python -m tools.generate --model mlp -n 12 --seed 1")

# %% [markdown]
# ## 16. A start at ln 27
#
# Why did every training start at a loss of 17 or more? Random logits are far from equal. If they
# were all about 0, each symbol would have about 1/27, and the loss would start at ln 27 = 3.30. The
# pipeline's setting `mlp.init=scaled` shrinks the weights. Without it they are from N(0, 1), the
# normal distribution with mean 0 and standard deviation 1, as `torch.randn` draws them.

# %%
scaled_network = MLP(symbols=len(itos), block_size=3, embedding=10, hidden=200)
scaled_network.initialise("scaled", torch.Generator().manual_seed(2147483647))
scaled = [tensor.requires_grad_() for tensor in scaled_network.parameters()]
normal = new_parameters(embedding=10, hidden=200)
curves = {
    "all N(0, 1)": train(normal, X_train, Y_train, steps=3_000, lr=0.1),
    "scaled": train(scaled, X_train, Y_train, steps=3_000, lr=0.1),
}
lab.number("first loss, scaled", curves["scaled"][0], 3.25, 3.35)
lab.number("ln 27", torch.tensor(27.0).log().item(), 3.2958, 3.2959)
lab.number("N(0, 1), after 3,000 steps: dev", mean_loss(normal, X_dev, Y_dev), 2.6, 3.2)
lab.number("scaled, after 3,000 steps: dev", mean_loss(scaled, X_dev, Y_dev), 2.25, 2.45)

figure, axes = plt.subplots(figsize=(7, 3))
for label, values in curves.items():
    axes.plot(values, linewidth=0.4, label=label)
axes.set(xlabel="step", ylabel="loss of the mini-batch", ylim=(1.5, 12))
axes.legend()
support.show(
    "From N(0, 1) the loss falls from 25 for thousands of steps; scaled, it starts near 3.3."
)

# %% [markdown]
# From N(0, 1) the first thousands of steps only make large logits small. The scaled start has that
# behind it: no long fall, and a much lower loss after as many steps.
#
# The pipeline: `dvc exp run -S mlp.init=normal` trains from the lecture's start.

# %% [markdown]
# ## Exercises
#
# Each exercise has a cell to try in, a cell that checks the answer, and a folded solution. Replace
# `None` and run both cells. A check says whether you are right, and a hint if not. Exercises 1 to
# 11 follow a [course notebook](../audit/pages/002.md) on this lecture, and the last three are the
# lecture's own.

# %% [markdown]
# ### Exercise 1: shapes
#
# Suppose a batch of 8 contexts of 4 characters, embeddings of 5 dimensions, and 50 hidden units.
# What are the shapes of the embedded contexts, of the same laid side by side, of the output of the
# hidden layer, and of the logits? Try to answer before you compute anything.
#
# Expected: four tuples of 3, 2, 2 and 2 numbers.

# %%
my_shapes = None  # [(…), (…), (…), (…)]

# %%
check.shapes(my_shapes, symbols=len(itos))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_shapes = [(8, 4, 5), (8, 20), (8, 50), (8, len(itos))]
# ```
#
# The number of examples stays first. An index with a tensor of 8 × 4 adds the dimension of the
# embedding. A product of (8 × 20) and (20 × 50) has the outer two sizes, 8 × 50. The pipeline with
# these sizes:
#
# ```sh
# dvc exp run -S contexts.block_size=4 -S mlp.embedding=5 -S mlp.hidden=50
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2: the output layer
#
# Write a function that takes the output of the hidden layer and turns it into probabilities: first
# the logits, with `W2` and `b2`, then `exp`, then the division.
#
# Expected: one row per example, and each row sums to 1.

# %%
my_probabilities = None  # a function: def my_probabilities(h, W2, b2): ...

# %%
check.probabilities(my_probabilities)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_probabilities(h, W2, b2):
#     counts = (h @ W2 + b2).exp()
#     return counts / counts.sum(dim=1, keepdim=True)
# ```
#
# The same 27 biases are added to every row. `dim=1` sums over the symbols of one example;
# `keepdim=True` keeps the sums as a column. What the stored model gives:
#
# ```sh
# python -m tools.next em --model mlp
# ```
#
# </details>

# %% [markdown]
# ### Exercise 3: one step of training
#
# Write the step yourself, for parameters that already have `requires_grad=True`: loss, old
# gradients away, new gradients, update. Why must parameters have `requires_grad=True`? What does
# each line do?
#
# Expected: `my_step` changes the parameters in place, as `step` does, also when it is called twice.

# %%
my_step = None  # a function: def my_step(parameters, x, y, lr): ...

# %%
check.training_step(my_step)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_step(parameters, x, y, lr):
#     loss = F.cross_entropy(forward(parameters, x), y)  # how wrong is the network?
#     for tensor in parameters:
#         tensor.grad = None  # backward adds to what is there
#     loss.backward()  # how does the loss change with each parameter?
#     for tensor in parameters:
#         tensor.data -= lr * tensor.grad  # against the gradient the loss falls
# ```
#
# Torch records the computation only for tensors with `requires_grad=True`; without any, `backward`
# stops with an error. The update goes through `.data`, so that it is not recorded itself. The
# pipeline's loop is `train` in `stages/train_mlp.py`:
#
# ```sh
# dvc repro --force --single-item train_mlp
# ```
#
# </details>

# %% [markdown]
# ### Exercise 4: can the loss become 0?
#
# Write a function that takes examples `X` and `Y` and returns the lowest mean loss that *any* model
# of these contexts can have, however large it is. Group the examples by context, and think of a
# table. What does it say for five names, and for all?
#
# Expected: for the five names the number that you know from section 6; for all names between 1.8
# and 1.95.

# %%
my_lowest_loss = None  # a function: def my_lowest_loss(X, Y): ...

# %%
check.lowest_loss(my_lowest_loss, [(X5, Y5), (X, Y)])

# %% [markdown]
# <details><summary>Solution</summary>
#
# The best table has, for each context, the shares of what really follows it.
#
# ```python
# def my_lowest_loss(X, Y):
#     unique, inverse = X.unique(dim=0, return_inverse=True)
#     counts = torch.zeros(len(unique), len(itos), dtype=torch.float64)
#     one = torch.ones((), dtype=torch.float64)
#     counts.index_put_((inverse, Y), one, accumulate=True)
#     shares = counts / counts.sum(dim=1, keepdim=True)
#     return -shares[inverse, Y].log().mean().item()
# ```
#
# It is 0 only if no context is ever followed by two different symbols. For all names and three
# characters it is 1.8842: more names do not help, more context does. The pipeline:
#
# ```sh
# dvc exp run -S contexts.block_size=5
# ```
#
# </details>

# %% [markdown]
# ### Exercise 5: how many examples?
#
# How many examples do all names give? Compute it from the lengths of the names, without building
# any context. Does it depend on the block size?
#
# Expected: between 200,000 and 250,000.

# %%
my_count = None

# %%
check.number_of_examples(my_count, names)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_count = sum(len(name) + 1 for name in names)
# ```
#
# 196,113 letters and 32,033 ends. The block size changes how long a context is, not how many there
# are. The pipeline counts them per split, in `metrics/split.csv`:
#
# ```sh
# dvc repro --force --single-item split
# cat metrics/split.csv
# ```
#
# </details>

# %% [markdown]
# ### Exercise 6: reading the search
#
# Write a function that takes the exponents and the noisy losses of a search like that of section 9,
# and returns the learning rate at the valley. A single lucky batch must not decide.
#
# Expected: for the search of section 9 between 0.06 and 0.25.

# %%
my_valley = None  # a function of a tensor and a list: def my_valley(exponents, losses): ...

# %%
check.valley(my_valley)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Take means over many neighbouring steps, and look for the lowest of those.
#
# ```python
# def my_valley(exponents, losses, window=150):
#     means = torch.as_tensor(losses).unfold(0, window, 1).mean(dim=1)
#     return 10 ** exponents[means.argmin() + window // 2].item()
# ```
#
# The result is a rate and not an exponent: -0.9 is 10 to the power of -0.9, about 0.13. The
# pipeline finds 0.143:
#
# ```sh
# dvc repro --force --single-item find_learning_rate
# ```
#
# </details>

# %% [markdown]
# ### Exercise 7: three parts as tensors
#
# Shuffle the names, cut them at 80 % and 90 %, and build `X` and `Y` of each part. Shuffle a copy,
# with a seed: then the cell gives the same parts each time.
#
# Expected: about 182,000, 23,000 and 23,000 examples.

# %%
my_parts = None  # [(X, Y) of train, (X, Y) of dev, (X, Y) of test]

# %%
check.parts(my_parts, X, Y, names)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import random
#
# shuffled = names.copy()
# random.Random(42).shuffle(shuffled)
# first, second = int(0.8 * len(names)), int(0.9 * len(names))
# my_parts = [build(part) for part in (shuffled[:first], shuffled[first:second], shuffled[second:])]
# ```
#
# Names are cut, and not examples (section 11). The pipeline, with other draws:
#
# ```sh
# dvc exp run -S split.seed=7
# ```
#
# </details>

# %% [markdown]
# ### Exercise 8: too small, or too sure?
#
# Four networks and their losses. Which underfit, and which overfit?
#
# | | network | train | names not seen |
# |-|---------|-------|----------------|
# | 1 | the one of section 6, on five names | 0.26 | 13.6 |
# | 2 | embedding 2, hidden 100 | 2.296 | 2.295 |
# | 3 | embedding 2, hidden 300 | 2.271 | 2.276 |
# | 4 | embedding 10, hidden 300 | 2.177 | 2.219 |
#
# Expected: four words, each `"under"` or `"over"`. For the fourth: which of the two *begins*?

# %%
my_diagnosis = None  # ["…", "…", "…", "…"]

# %%
check.diagnosis(my_diagnosis)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# my_diagnosis = ["over", "under", "under", "over"]
# ```
#
# Equal losses mean that the network cannot yet tell its own names from new ones: it has room to
# grow. A gap means that it can. The gap of the fourth is small, and its dev loss is the lowest of
# the four, so it is still the best of them: overfitting that has only begun does little harm. The
# pipeline:
#
# ```sh
# python -m tools.recipes mlp-2-100 mlp-2-300 mlp-10-300
# ```
#
# </details>

# %% [markdown]
# ### Exercise 9: why is the curve so thick?
#
# Take the network `small` as it is, without training it further. Draw 400 batches of 32 examples
# from `X_train`, compute their losses, and take the standard deviation. Do it again with batches of
# 128. What do you expect?
#
# Expected: two numbers between 0.05 and 0.4. Guess how many times larger the first is.

# %%
my_noise = None  # (standard deviation with 32, standard deviation with 128)

# %%
check.noise(my_noise, forward(small, X_train).detach(), Y_train)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# @torch.no_grad()
# def noise(size, count=400):
#     generator = torch.Generator().manual_seed(1)
#     losses = []
#     for _ in range(count):
#         ix = torch.randint(len(X_train), (size,), generator=generator)
#         losses.append(F.cross_entropy(forward(small, X_train[ix]), Y_train[ix]))
#     return torch.stack(losses).std().item()
#
#
# my_noise = (noise(32), noise(128))
# ```
#
# Four times as many examples halve the noise: a mean of n draws has a standard deviation of one
# draw's divided by the square root of n. The network has not changed at all, so the whole band
# comes from the draws. The pipeline:
#
# ```sh
# dvc exp run -S mlp.batch_size=128
# ```
#
# </details>

# %% [markdown]
# ### Exercise 10: neighbours
#
# Which symbol is closest to a given one? Write a function that takes an embedding `C` of any number
# of dimensions and the number of a symbol, and returns the number of the closest *other* symbol, by
# the ordinary distance. Try it on the vowels, before and after training.
#
# Expected: for `wide[0].detach()`, the `C` of section 12, most vowels have a vowel as their
# neighbour.

# %%
my_neighbour = None  # a function: def my_neighbour(C, number): ...

# %%
check.neighbour(my_neighbour)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_neighbour(C, number):
#     distances = (C - C[number]).norm(dim=1)
#     distances[number] = float("inf")  # not itself
#     return distances.argmin().item()
#
#
# for vowel in [symbol for symbol in "aeiou" if symbol in stoi]:
#     print(vowel, itos[my_neighbour(wide[0].detach(), stoi[vowel])])
# ```
#
# The pipeline draws its embedding in `plots/embedding.svg`:
#
# ```sh
# dvc repro --force --single-item plot_mlp
# ```
#
# </details>

# %% [markdown]
# ### Exercise 11: how large is it?
#
# Write a function that computes the number of parameters of a network from its sizes, for 27
# symbols (`len(itos)`). Where does the embedding's dimension come in?
#
# Expected: 3,481 for a block size of 3, embedding 2 and hidden 100; 11,897 with 10 and 200.

# %%
my_size = None  # a function: def my_size(block_size, embedding, hidden): ...

# %%
check.size(my_size, symbols=len(itos))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_size(block_size, embedding, hidden):
#     symbols = len(itos)
#     C = symbols * embedding
#     first_layer = block_size * embedding * hidden + hidden
#     second_layer = hidden * symbols + symbols
#     return C + first_layer + second_layer
# ```
#
# The embedding comes in twice: in `C`, and in the inputs of the hidden layer. The pipeline writes
# it to `metrics/mlp.csv`:
#
# ```sh
# dvc exp run -S mlp.embedding=20
# cat metrics/mlp.csv
# ```
#
# </details>

# %% [markdown]
# ### Exercise 12: beat 2.2
#
# Train a network whose loss on dev is below 2.2 nats per character. You have many settings: hidden
# units, dimensions, characters of context, steps, batches, rates, the start. Train on `X_train`,
# decide on `X_dev`.
#
# The answer is a function from contexts to logits. It gets contexts of *eight* characters, with
# dots before short ones: for a block size of 3 use `contexts[:, -3:]`.
#
# Expected: below 2.2; 2.16 is possible in ten seconds.

# %%
my_logits = None  # a function: def my_logits(contexts): ...

# %%
check.better(my_logits, lab, itos)

# %% [markdown]
# <details><summary>Solution</summary>
#
# The start of section 16 and larger batches are enough.
#
# ```python
# best_model = MLP(symbols=len(itos), block_size=3, embedding=10, hidden=200)
# best_model.initialise("scaled", torch.Generator().manual_seed(1))
# best = [tensor.requires_grad_() for tensor in best_model.parameters()]
# for part, (lr, steps) in enumerate(((0.3, 4_000), (0.03, 3_000))):
#     train(best, X_train, Y_train, steps, lr, batch_size=64, seed=part)
#
#
# def my_logits(contexts):
#     return forward(best, contexts[:, -3:])
# ```
#
# The pipeline's own model has 2.0960, and a larger one with eight characters of context has 1.9382.
# When everything is chosen, look at test, once:
#
# ```sh
# python -m tools.recipes best-mlp
# dvc exp run -S 'evaluate.splits=[train,dev,test]'
# ```
#
# </details>

# %% [markdown]
# ### Exercise 13: start at ln 27
#
# Make parameters for embedding 10 and hidden 200 with which the loss *before* training is close to
# ln 27, and with which training works. Which tensors decide about the logits? Why is it a bad idea
# to set everything to 0?
#
# Expected: a loss between 3.25 and 3.35.

# %%
my_start = None  # [C, W1, b1, W2, b2]

# %%
check.start(my_start, X_train, Y_train, len(itos))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# C, W1, b1, W2, b2 = (tensor.detach() for tensor in new_parameters(embedding=10, hidden=200))
# my_start = [C, W1 * (5 / 3) / len(W1) ** 0.5, b1 * 0, W2 * 0.01, b2 * 0]
# my_start = [tensor.requires_grad_() for tensor in my_start]
# ```
#
# Small `W2` and no `b2` make all logits nearly equal. `W1` is divided by the square root of its
# number of inputs, so that `tanh` is not at its ends, where its gradient is 0 (5/3 is the usual
# factor for `tanh`). With everything at 0 the loss is exactly ln 27, but all gradients except that
# of `b2` are 0, so nothing else ever learns. This is `mlp.init=scaled` (He et al. 2015). Without
# it:
#
# ```sh
# dvc exp run -S mlp.init=normal
# ```
#
# </details>

# %% [markdown]
# ### Exercise 14: an idea of the paper
#
# Bengio et al. also connect the embeddings *directly* to the output, past the hidden layer: their
# logits are `h @ W2 + b2 + emb @ D`, where `emb` has the embeddings of a context side by side.
# Write this forward pass.
#
# Expected: with `D` all 0 the logits of `forward`, and with `W2` all 0 a linear model.

# %%
my_direct = None  # a function: def my_direct(C, W1, b1, W2, b2, D, x): ...

# %%
check.direct(my_direct)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_direct(C, W1, b1, W2, b2, D, x):
#     emb = C[x].flatten(start_dim=1)
#     return torch.tanh(emb @ W1 + b1) @ W2 + b2 + emb @ D
# ```
#
# `D` has a row for each number of `emb` and a column for each symbol, here 30 × 27: 810 parameters
# more. What a weighted sum of the embeddings can say no longer needs hidden units. Whether that
# helps, dev decides: over five seeds it brings nothing to the pipeline's 200 units, and lowers the
# loss by 0.03 if there are only 20 ([performance](../docs/performance.md), direct connections). The
# pipeline:
#
# ```sh
# dvc exp run -S mlp.direct=true
# ```
#
# </details>

# %% [markdown]
# ## Where to go on
#
# - [The audit](../audit/NOTEBOOKS.md) compares the numbers of this lab with those of three texts
#   written after the same lecture, row by row: [001](../audit/pages/001.md),
#   [002](../audit/pages/002.md) and [004](../audit/pages/004.md).
# - [Experiments](../docs/experiments.md) has more that you can run, and how to compare two results.
