# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 1: bigrams
#
# A bigram is a pair of neighbouring characters. A language model gives the probability of each next
# character. In this lab you build one from nothing but pairs: first by counting them, then with a
# neural network of one layer. Both end at the same probabilities, and at the end you will know why.
#
# The order is that of [the lecture on bigrams](https://www.youtube.com/watch?v=PaCmpygFfXo) by
# Andrej Karpathy. Each step is shown twice: in a few lines of torch, and as this project's pipeline
# does it.
#
# Run the cells from top to bottom. Before that, run `make repro` once, which trains the models that
# the lab opens. Exercises with solutions are at the end.

# %%
import os
import sys

os.chdir("." if os.path.exists("dvc.yaml") else "..")  # to the root of the project
sys.path.insert(0, os.getcwd())

# %%
from labs import checks_bigrams as check
from labs import support

lab = support.load("1_bigrams")

# %% [markdown]
# The pipeline's modules come first, because they fix how torch computes: with one thread, and with
# the same instructions on every x86-64 processor. That is why you see the same digits as here. On
# other systems, a number lies within the range that is printed behind it in parentheses.

# %%
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

# %% [markdown]
# ## 1. The names
#
# The data is a list of first names, one per line.

# %%
names = lab.names
print(names[:5])
print(f"{len(names):,} names with {min(map(len, names))} to {max(map(len, names))} characters")

# %% [markdown]
# The pipeline has cut the same list into three parts: train to learn from, dev to choose settings
# with, and test, which stays closed until the end. This lab counts all names, as the lecture does,
# and comes back to the parts where they matter.

# %%
print(f"{len(lab.train):,} train, {len(lab.dev):,} dev, {len(lab.test):,} test names")

# %% [markdown]
# ## 2. Pairs of characters
#
# A name says more than its letters. `emma` also says that a name may begin with `e` and may end
# after `a`. So we put a dot before and after each name, and count pairs with the dots included.


# %%
def pairs(name):
    symbols = ["."] + list(name) + ["."]
    return zip(symbols, symbols[1:])


print([first + second for first, second in pairs(names[0])])

# %%
from collections import Counter

for number in (5, len(names)):
    counter = Counter(first + second for name in names[:number] for first, second in pairs(name))
    print(f"{number:,} names, {counter.total():,} pairs, most often {counter.most_common(5)}")

# %% [markdown]
# The first five names have 32 pairs, and all names have 228,146. In both, an end after `a` is among
# the most frequent pairs.

# %% [markdown]
# ## 3. A table of counts
#
# A table is easier to compute with than a dictionary. Each symbol gets a number, and the dot gets
# 0. `xs` and `ys` have the numbers of the first and the second symbols of all pairs. `N[i, j]` is
# how often symbol `j` follows symbol `i`.
#
# All three are **tensors**, the arrays of torch. The `shape` of a tensor is its size along each
# dimension, and `dtype` is the type of its numbers.

# %%
itos = ["."] + sorted(set("".join(names)))  # the symbol of each number
stoi = {symbol: number for number, symbol in enumerate(itos)}  # and back

xs = torch.tensor([stoi[first] for name in names for first, _ in pairs(name)])
ys = torch.tensor([stoi[second] for name in names for _, second in pairs(name)])
N = torch.zeros((len(itos), len(itos)), dtype=torch.int64)
for x, y in zip(xs.tolist(), ys.tolist()):
    N[x, y] += 1
print(N.shape, N.dtype)
print(f"names that begin with {itos[1]}: {N[0, 1]}")
last = N[:, 0].argmax().item()
print(f"names that end with {itos[last]}, the most frequent last letter: {N[last, 0]}")


# %%
def draw_counts(counts, symbols, axes):
    axes.imshow(counts.double().log1p(), cmap="Blues")
    axes.set_xticks(range(len(symbols)), symbols, fontsize=8)
    axes.set_yticks(range(len(symbols)), symbols, fontsize=8)
    axes.set(xlabel="second symbol", ylabel="first symbol")


figure, axes = plt.subplots(figsize=(13, 13))
draw_counts(N, itos, axes)
for i in range(len(itos)):
    for j in range(len(itos)):
        colour = "white" if N[i, j] > 100 else "black"
        axes.text(j, i, N[i, j].item(), ha="center", va="center", fontsize=8, color=colour)
support.show(
    "Counts of all pairs of 27 symbols; the darker a cell, the more often the pair occurs."
)

# %% [markdown]
# Dark cells are common pairs (the colour is the logarithm of the count). The row of the dot shows
# how names begin, and the column of the dot shows how they end. Many cells are 0. After `q` there
# are few letters, and `u` is by far the most frequent.

# %% [markdown]
# The pipeline builds the same table from arrays of examples, without a loop.

# %%
from charlm.data.examples import bigram_counts, build_examples

examples = build_examples(names, lab.vocabulary, block_size=1)
counts = torch.from_numpy(bigram_counts(examples, len(lab.vocabulary)))
print("the same table:", torch.equal(counts, N))

# %% [markdown]
# Early in the lecture the table has 28 symbols: one for the start of a name and another for its
# end. In the pipeline this is the setting `vocabulary.boundary=two`.

# %%
from charlm.data.vocabulary import Vocabulary

two_ends = Vocabulary.of([*itos[1:], "<START>", "<END>"])
with_two_ends = torch.from_numpy(bigram_counts(build_examples(names, two_ends, 1), len(two_ends)))
figure, axes = plt.subplots(figsize=(6, 6))
draw_counts(with_two_ends, [*itos[1:], "S", "E"], axes)
support.show("Counts of all pairs of 28 symbols: the row of E and the column of S are empty.")
empty = len(two_ends) * 2 - 1
print(f"{empty} of {with_two_ends.numel()} cells can never be filled")

# %% [markdown]
# Nothing follows the end, `E`, and nothing comes before the start, `S`. One row and one column are
# empty for certain, so one symbol for both ends is enough.

# %% [markdown]
# ## 4. From counts to names
#
# Divide each row by its sum, and it becomes a probability distribution: what comes next, given one
# symbol? `sum(dim=1)` adds along dimension 1, from left to right, which gives one sum per row.
# `keepdim=True` keeps the sums as a column of shape 27 × 1. Torch repeats this column 27 times to
# match the shape of `N`, which is called **broadcasting**: each row is divided by its own sum.

# %%
P = N / N.sum(dim=1, keepdim=True)
print("sums of the first rows:", P.sum(dim=1)[:4])
for i in P[0].argsort(descending=True)[:3]:
    print(f"a name begins with {itos[i]} with probability {P[0, i]:.4f}")

# %% [markdown]
# To make up a name, start at the dot, draw a next symbol from its row with `torch.multinomial`, go
# to the row of that symbol, and stop at the next dot. A generator with a fixed seed makes the same
# draws every time.


# %%
def sample(P, count, seed=2147483647, longest=60):
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        name, ix = "", 0
        while len(name) < longest:
            ix = torch.multinomial(P[ix], 1, replacement=True, generator=generator).item()
            if ix == 0:
                break
            name += itos[ix]
        made.append(name)
    return made


uniform = torch.full_like(P, 1 / len(itos))
print("counts: ", ", ".join(sample(P, 8)))
print("uniform:", ", ".join(sample(uniform, 4)))

# %% [markdown]
# The names of the first line are poor, but parts of them can be spoken, and they end where names
# end. The second line comes from a model that knows nothing and finds all 27 symbols equally
# likely. The counts have learned something.

# %% [markdown]
# The pipeline has stored its table as `data/models/bigram_count.safetensors`. It was counted on
# train only, and smoothed, which comes later in this lab.

# %%
support.run("python -m tools.generate --model bigram_count -n 8 --seed 1")
support.run("python -m tools.generate --model uniform -n 2 --seed 1")

# %% [markdown]
# ## 5. The forgotten `keepdim`
#
# `N.sum(dim=1)` without `keepdim=True` has the shape 27 instead of 27 × 1. Torch then lays it along
# the last dimension, as a row. Each *column* is divided by the sum of the row with the same number.
# There is no error and no warning.

# %%
wrong = N / N.sum(dim=1)
print("shapes:", N.sum(dim=1, keepdim=True).shape, N.sum(dim=1).shape)
print(f"sums of rows, right: {P.sum(dim=1).min():.2f} to {P.sum(dim=1).max():.2f}")
print(f"sums of rows, wrong: {wrong.sum(dim=1).min():.2f} to {wrong.sum(dim=1).max():.2f}")
print("names, right:", ", ".join(sample(P, 5)))
print("names, wrong:", ", ".join(sample(wrong, 5)))
for label, table in (("right", P), ("wrong", wrong)):
    lengths = [len(name) for name in sample(table, 500, longest=1000)]
    print(f"mean length of 500 names, {label}: {sum(lengths) / len(lengths):.1f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.6), sharey=True, layout="constrained")
left.bar(itos, P.sum(dim=1))
right.bar(itos, wrong.sum(dim=1), color="tab:orange")
left.set(title="with keepdim=True", ylabel="sum of the row")
right.set(title="without")
support.show("Sums of the rows of P: all 1 with keepdim, between 0.07 and 7.02 without.")

# %% [markdown]
# Rare letters such as `q` and `x` now appear everywhere, because a column of small counts is
# divided by an equally small sum. The end becomes rare, so names are several times too long.
# `torch.multinomial` hides the mistake: it accepts rows that do not sum to 1. So check sums and
# shapes, always.
#
# The pipeline can make this mistake on purpose.

# %%
support.run("python -m tools.generate --model wrong_axis -n 4 --seed 1 --max-length 60")

# %% [markdown]
# ## 6. How good is a model?
#
# Names that look good are no measure. A better one is the probability that the model gives to the
# names that exist. Start with one name and its five pairs.

# %%
for first, second in pairs(names[0]):
    p = P[stoi[first], stoi[second]]
    print(f"{first}{second}  p = {p:.4f}   log p = {p.log():.4f}")

# %% [markdown]
# A model that knows nothing would give 1/27, about 0.037, to each pair. Most of these are higher.
#
# The **likelihood** of a name is the product of the probabilities. It becomes tiny. For a list of
# thousands of names it is far below the smallest number that torch can store.
#
# The **log-likelihood** is the logarithm of this product, which is the sum of the logarithms. The
# greater the likelihood, the greater its logarithm, so both order models in the same way.

# %%
for name in names[:5]:
    probabilities = torch.stack([P[stoi[first], stoi[second]] for first, second in pairs(name)])
    likelihood, log_likelihood = probabilities.prod(), probabilities.log().sum()
    print(f"{name:9} likelihood {likelihood:.9f}   log-likelihood {log_likelihood:.4f}")

# %% [markdown]
# `isabella` has a likelihood of 0.000000000 in print. Its log-likelihood is an ordinary number.

# %%
x = torch.linspace(0.005, 1, 200)
figure, axes = plt.subplots(figsize=(5, 3))
axes.plot(x, x.log())
axes.axhline(0, color="grey", linewidth=0.5)
axes.set(xlabel="p", ylabel="log p", title="The logarithm of a probability")
support.show("The curve of log p for p from 0 to 1: far below zero near 0, and 0 at 1.")

# %% [markdown]
# The logarithm of 1 is 0, and small probabilities have large negative logarithms. A loss should be
# small when the model is good, so we change the sign: the **negative log-likelihood**, NLL. Divided
# by the number of pairs, it can be compared between long and short lists. With the natural
# logarithm, its unit is called nat.
#
# `P[xs, ys]` picks one cell of `P` for each pair: 228,146 probabilities at once.

# %%
loss = -P[xs, ys].log().mean()
lab.number("NLL per character, counts", loss, 2.4539, 2.4541)
lab.number("NLL per character, uniform", -uniform[xs, ys].log().mean(), 3.2957, 3.2959)
lab.number("NLL per character, without keepdim", -wrong[xs, ys].log().mean(), 2.4539, 2.4541)

# %% [markdown]
# 2.4540 nats per character is the number to beat. On the names that were counted, no bigram model
# can be better than the counts. A uniform guess has ln 27 = 3.2958.
#
# The table without `keepdim` has the same loss, although its names are much worse. An NLL only
# means something if the rows are distributions, so check their sums first. Exercise 9 shows why the
# two losses agree to the last digit.
#
# The pipeline scores a name with the table that it counted on train. The perplexity is `exp` of the
# mean: the model is as unsure as if it chose among that many equally likely symbols.

# %%
support.run(f"python -m tools.score {names[0]} --model bigram_count")

# %% [markdown]
# ## 7. Smoothing
#
# What about a pair that never occurs? Its probability is 0, and the logarithm of 0 is minus
# infinity. One such pair makes the loss of a whole list infinite.


# %%
def nll(P, name):
    return -sum(P[stoi[first], stoi[second]].log().item() for first, second in pairs(name))


unseen = [itos[i] + itos[j] for i, j in (N[1:, 1:] == 0).nonzero() + 1]
name = "jq" if "jq" in unseen else unseen[0]
print(f"{len(unseen)} pairs of letters never occur. {name}: {nll(P, name)}")

# %% [markdown]
# The remedy is to pretend that we saw every pair a little more often than we did. Adding 1 to every
# count is the simplest choice.

# %%
smoothed = (N + 1) / (N + 1).sum(dim=1, keepdim=True)
lab.number(f"{name}, with 1 added", nll(smoothed, name), 12.8, 13.0)
lab.number("all names, with 1 added", -smoothed[xs, ys].log().mean(), 2.4545, 2.4547)

# %% [markdown]
# `jq` now has a finite loss, and the loss of all names grows by only 0.0006.
#
# How much should be added? The more, the closer the model comes to a uniform guess. The names that
# were counted always prefer 0. So the choice needs names that were *not* counted: count on train,
# and measure on dev.
#
# Only the counts of dev are needed for its loss, too: each pair adds its negative logarithm as
# often as it occurs.


# %%
def to_pairs(names):
    numbers = [(stoi[first], stoi[second]) for name in names for first, second in pairs(name)]
    return torch.tensor(numbers).T  # two rows: first and second symbols


def count(names):
    x, y = to_pairs(names)
    cells = torch.bincount(x * len(itos) + y, minlength=len(itos) ** 2)  # without a loop
    return cells.view(len(itos), len(itos)).double()


def bigram_loss(counts, scored, k):  # two tables of counts: to learn from, and to score
    Q = (counts + k) / (counts + k).sum(dim=1, keepdim=True)
    return -(scored * Q.log()).sum().item() / scored.sum().item()


N_train, N_dev = count(lab.train), count(lab.dev)
added = [10 ** (exponent / 4) for exponent in range(-12, 21)]  # 0.001 to 100,000
curves = {
    "train": [bigram_loss(N_train, N_train, k) for k in added],
    "dev": [bigram_loss(N_train, N_dev, k) for k in added],
}

figure, both = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
for axes in both:
    axes.semilogx(added, curves["train"], label="train")
    axes.semilogx(added, curves["dev"], "--", label="dev")
    axes.set(xlabel="added to every count", ylabel="NLL per character")
guess = -uniform[xs, ys].log().mean()
both[0].axhline(guess, color="grey", linestyle=":", label="uniform")
both[0].legend()
lowest = min(curves["dev"])
both[1].set(xlim=(1e-3, 10), ylim=(lowest - 0.001, lowest + 0.004))
support.show(
    "NLL of train and dev: flat up to about 10, then rising. Right: the flat part, enlarged."
)
best = min(range(len(added)), key=curves["dev"].__getitem__)
print(f"lowest on dev with {added[best]:.2f} added")
lab.number("its loss on dev", curves["dev"][best], 2.4528, 2.4532)

# %% [markdown]
# Up to about 10 it hardly matters, because most cells have many names behind them. With 100,000 the
# counts are drowned. On the right, enlarged: train only rises, and dev has its lowest point near
# 0.3. Remember this in the exercise about trigrams, where it matters more.
#
# The pipeline adds `bigram_count.smoothing`, which is 1, and stores the table.

# %%
from charlm.models.bigram_count import BigramCount
from charlm.scoring import score

stored = BigramCount.load(len(lab.vocabulary))
Q = (N_train + 1) / (N_train + 1).sum(dim=1, keepdim=True)
if Q.shape == stored.arrays["P"].shape:
    print("largest difference from the stored table:", abs(Q.numpy() - stored.arrays["P"]).max())
dev = build_examples(lab.dev, lab.vocabulary, block_size=1)
scores = score(stored, dev["contexts"], dev["targets"])
lab.number("loss of the stored table on dev", scores.nll.mean(), 2.4532, 2.4534)

# %% [markdown]
# The table is the same, and its loss on dev is the one that the curve shows at 1. The pipeline has
# it in `metrics/nll/dev.json`. To try another value: `dvc exp run -S bigram_count.smoothing=10`,
# then `dvc metrics diff`.

# %% [markdown]
# ## 8. The same as a network: one-hot rows
#
# Counting works because there are only 27 × 27 cells. With longer contexts a table becomes too
# large, and a network can take its place. We begin with one that does exactly what the table does.
#
# A network computes with numbers that it can multiply. The number of a letter is only a label: `z`
# is not 26 times `a`. So each input becomes a **one-hot** row, with a 1 at its place and 0
# elsewhere.

# %%
x_emma = torch.tensor([stoi[first] for first, _ in pairs(names[0])])
y_emma = torch.tensor([stoi[second] for _, second in pairs(names[0])])
one_hot = F.one_hot(x_emma, num_classes=len(itos)).float()
print("inputs ", x_emma.tolist())
print("targets", y_emma.tolist())
print("one-hot", tuple(one_hot.shape), one_hot.dtype)

figure, axes = plt.subplots(figsize=(7, 1.8))
axes.imshow(one_hot, cmap="Blues", aspect="auto")
axes.set_xticks(range(len(itos)), itos)
axes.set_yticks(range(len(x_emma)), [itos[x] for x in x_emma])
axes.set(xlabel="symbol of the column", ylabel="input")
support.show("The one-hot rows of ., e, m, m and a: one dark cell in each row.")

# %% [markdown]
# Each row has one dark cell, at the number of its symbol. `F.one_hot` gives whole numbers, and
# `.float()` makes them something that can be multiplied with weights.
#
# The **weights** are the numbers that training will change: a matrix `W` of 27 × 27, random at
# first. A one-hot row times `W` picks out one row of `W`. `@` is the matrix product.

# %%
generator = torch.Generator().manual_seed(2147483647)
W = torch.randn((len(itos), len(itos)), generator=generator)
print("one-hot @ W is rows of W:", torch.equal(one_hot @ W, W[x_emma]))

# %% [markdown]
# ## 9. From any number to a probability
#
# The rows of `W` have negative numbers and do not sum to 1. We read them as **log counts**, also
# called logits: `exp` turns them into positive numbers that act as counts, and dividing by the sum
# of the row turns those into probabilities. Both steps together are the **softmax**.

# %%
logits = one_hot @ W
pseudo_counts = logits.exp()
probabilities = pseudo_counts / pseudo_counts.sum(dim=1, keepdim=True)
print("sums:", probabilities.sum(dim=1))
print("the same as F.softmax:", torch.allclose(probabilities, F.softmax(logits, dim=1)))

x = torch.linspace(-4, 4, 200)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
left.plot(x, x.exp())
left.axhline(1, color="grey", linestyle=":")
left.set(title="exp: from a logit to a count", xlabel="logit", ylabel="count")
right.bar(itos, probabilities[0])
right.set(title="a random model: what follows the dot?", ylabel="probability")
support.show("Left: exp is positive everywhere, 1 at 0. Right: random probabilities of 27 symbols.")

# %% [markdown]
# `exp` maps every number to a positive one: negative logits become counts below 1, and positive
# ones become counts above 1. On the right is a distribution that means nothing yet.
#
# Now the other way round: if `W` is the logarithm of the counts, the network *is* the table. We add
# 1 to the counts again, because the logarithm of 0 is not finite.

# %%
W_counts = (N + 1).float().log()
same = torch.allclose(F.softmax(W_counts, dim=1), smoothed)
print("softmax of log counts is the smoothed table:", same)

# %% [markdown]
# ## 10. Gradient descent
#
# Suppose we did not know the counts. Start from the random `W`, compute the loss on `emma`, and ask
# torch for the **gradient**: how does the loss change with each number in `W`?
#
# `requires_grad` tells torch to record what is computed from `W`. `loss.backward()` follows this
# record backwards and stores the gradient in `W.grad`, which has the shape of `W`. The index
# `[torch.arange(5), y_emma]` picks from each of the five rows the probability of its target.

# %%
W.requires_grad = True
probabilities = F.softmax(one_hot @ W, dim=1)
loss = -probabilities[torch.arange(len(y_emma)), y_emma].log().mean()
lab.number(f"loss of the random model on {names[0]}", loss.item(), 3.7692, 3.7694)
loss.backward()
W.data -= 0.1 * W.grad
after = -F.softmax(one_hot @ W, dim=1)[torch.arange(len(y_emma)), y_emma].log().mean()
lab.number("loss after one step", after.item(), 3.7491, 3.7493)

# %% [markdown]
# One small step against the gradient, and the loss is a little lower. The factor 0.1 is the
# **learning rate**: how far a step goes. `W.data` is `W` without the recording that `backward`
# needs, so that torch does not try to differentiate the update.
#
# Training repeats this on all pairs. A learning rate of 50 looks high. It works because the loss is
# a mean over 228,146 pairs, so that the gradient of each single weight is small.

# %%
xenc = F.one_hot(xs, num_classes=len(itos)).float()
generator = torch.Generator().manual_seed(2147483647)
W = torch.randn((len(itos), len(itos)), generator=generator, requires_grad=True)
curve = []
for _ in range(100):
    counts = (xenc @ W).exp()  # forward: logits, then what acts as counts
    probabilities = counts / counts.sum(dim=1, keepdim=True)
    loss = -probabilities[torch.arange(len(ys)), ys].log().mean()
    curve.append(loss.item())
    W.grad = None  # backward: without this line, the gradients of all steps would add up
    loss.backward()
    W.data -= 50 * W.grad  # update
lab.number("first loss", curve[0], 3.75, 3.77)
lab.number("loss of the 100th step", curve[-1], 2.46, 2.49)

# %% [markdown]
# The pipeline trains the same network on train, for `bigram_neural.steps` steps at the rate
# `bigram_neural.lr`, and stores the curve.

# %%
import csv

with open("plots/bigram_neural.csv", newline="") as file:
    trained = [(int(row["step"]), float(row["nll"])) for row in csv.DictReader(file)]

figure, axes = plt.subplots(figsize=(7, 3.5))
axes.plot(curve, label="all names, this lab")
axes.plot(*zip(*trained), label="train, the pipeline", linestyle="--")
counted = -P[xs, ys].log().mean()
axes.axhline(counted, color="black", linewidth=1, label="the counts, all names")
axes.set(xlabel="step", ylabel="NLL per character", ylim=(counted - 0.05, counted + 1.3))
axes.legend()
support.show("The loss falls steeply in 20 steps, then creeps down to the loss of the counts.")

# %% [markdown]
# Both curves fall towards the loss of the counts, and do not cross it. Counting *is* the solution
# of this problem, found in one step. Gradient descent needs many, but it also works where nobody
# can count.
#
# Are the probabilities the same, too?

# %%
learned = F.softmax(W.detach(), dim=1)  # detach: no gradient is needed any more
figure, axes = plt.subplots(figsize=(4, 4))
axes.plot([0, 0.8], [0, 0.8], color="grey", linewidth=0.7)
axes.scatter(P.flatten(), learned.flatten(), s=8)
i, j = divmod((P - learned).abs().argmax().item(), len(itos))
axes.text(P[i, j], learned[i, j] + 0.02, itos[i] + itos[j], ha="center")
axes.set(xlabel="probability from the counts", ylabel="probability from the network")
support.show("729 points, one for each pair: close to the diagonal, except qu.")
print("counts: ", ", ".join(sample(P, 6)))
print("network:", ", ".join(sample(learned, 6)))

# %% [markdown]
# Each point is one pair. Most lie near the diagonal. The one far below it is `qu`: `q` is so rare
# that its row has small gradients, and 100 steps have not moved it far. From the same draws, the
# two models make nearly the same names.

# %% [markdown]
# ## 11. The penalty
#
# Smoothing pulls the table towards a uniform guess. The network has something that does the same:
# a **penalty** on large weights. If all weights are 0, all logits are equal, and so are all
# probabilities. The training then minimises the loss plus `l2` times the mean of `W**2`.
#
# Here, too, each pair is weighted by how often it occurs. That is the same mean with 729 numbers
# instead of 228,146 rows, and it is how the pipeline does it.

# %%
frequencies = (N / N.sum()).float()


def train(l2, steps=100, lr=50):
    generator = torch.Generator().manual_seed(2147483647)
    W = torch.randn(frequencies.shape, generator=generator, requires_grad=True)
    for _ in range(steps):
        nll = -(frequencies * F.log_softmax(W, dim=1)).sum()  # the logarithm of the softmax
        W.grad = None
        (nll + l2 * (W**2).mean()).backward()
        W.data -= lr * W.grad
    return W.detach()


by_penalty = {}
for l2, low, high in ((0, 2.46, 2.49), (0.01, 2.46, 2.49), (0.1, 2.49, 2.52), (1, 2.71, 2.73)):
    W_l2 = train(l2)
    by_penalty[l2] = F.softmax(W_l2, dim=1)
    lab.number(f"l2 {l2}: NLL", -by_penalty[l2][xs, ys].log().mean(), low, high)
    print(f"  mean of W**2 {(W_l2**2).mean():.2f}; {', '.join(sample(by_penalty[l2], 4))}")

# %%
figure, axes = plt.subplots(figsize=(7, 3))
for bar, (l2, probabilities) in enumerate(by_penalty.items()):
    places = [symbol + bar / 5 - 0.3 for symbol in range(len(itos))]
    axes.bar(places, probabilities[last].tolist(), 0.2, label=f"l2 {l2}")
axes.axhline(1 / len(itos), color="grey", linestyle=":", label="uniform")
axes.set_xticks(range(len(itos)), itos)
axes.set(ylabel=f"probability after {itos[last]}")
axes.legend()
support.show("What follows n, for four penalties: the larger the penalty, the flatter the bars.")

# %% [markdown]
# The larger the penalty, the flatter the distribution and the higher the loss. The penalty is not
# part of the loss that is shown: always compare the loss of the data, not the sum that was
# minimised.
#
# In the pipeline: `dvc exp run -S bigram_neural.l2=0.01`.

# %% [markdown]
# ## Exercises
#
# Each exercise has a cell to try in, a cell that checks the answer, and a folded solution. Replace
# `None` and run both cells. The check says whether the answer is right, and what is wrong if not.
#
# Each solution ends with the command of the pipeline that does the same. `dvc exp run` changes
# `params.yaml` and the results. [The README](../README.md#change-one-thing) says how to keep a
# result and how to discard it.

# %% [markdown]
# ### Exercise 1: how names begin
#
# Read from `P` how probable it is that a name begins with `a`, the symbol with the number 1.
#
# Expected: between 0.1 and 0.2.

# %%
begins_with_a = None

# %%
check.first_letter(begins_with_a, names, itos[1])

# %% [markdown]
# <details><summary>Solution</summary>
#
# The row says what came before: a name begins after the dot, so it is the row of the dot.
#
# ```python
# begins_with_a = P[0, 1].item()
# ```
#
# The pipeline shows the whole row, counted on train:
#
# ```sh
# python -m tools.next --model bigram_count
# ```
#
# </details>

# %% [markdown]
# ### Exercise 2: counts from logits
#
# Write the softmax yourself, with `exp` and a sum: a function that takes logits, one row per
# example, and returns probabilities. Then make it work for rows of logits around 200, where `exp`
# is infinite. Adding the same number to all logits of a row does not change the probabilities.
# `logits.max(dim=1)` returns two tensors, `values` and `indices`.
#
# Expected: all rows sum to 1.

# %%
my_softmax = None  # a function: def my_softmax(logits): ...

# %%
check.softmax(my_softmax)

# %% [markdown]
# <details><summary>Solution</summary>
#
# Subtract the largest logit of each row first. The largest number that `exp` then sees is 0.
#
# ```python
# def my_softmax(logits):
#     counts = (logits - logits.max(dim=1, keepdim=True).values).exp()
#     return counts / counts.sum(dim=1, keepdim=True)
# ```
#
# In the pipeline this is `log_probabilities` in `charlm/models/base.py`. What it gives:
#
# ```sh
# python -m tools.next a --model bigram_neural
# ```
#
# </details>

# %% [markdown]
# ### Exercise 3: a gradient
#
# Torch only computes gradients of tensors that have `requires_grad=True`. Compute the gradient of
# the loss on the five pairs of the first name, `x_emma` and `y_emma`, with respect to `W_start`
# below. What happens without `requires_grad`? What if you call `backward` twice?
#
# Expected: 27 rows and 27 columns, each number between -0.5 and 0.5.

# %%
W_start = torch.zeros((len(itos), len(itos)))
my_gradient = None

# %%
check.gradient(my_gradient, W_start, x_emma, y_emma)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# W_free = W_start.clone().requires_grad_()
# probabilities = F.softmax(W_free[x_emma], dim=1)
# loss = -probabilities[torch.arange(len(y_emma)), y_emma].log().mean()
# loss.backward()
# my_gradient = W_free.grad
# ```
#
# Without `requires_grad`, `backward` stops with an error: torch has recorded nothing. A second
# `backward` on a new loss *adds* to `W_free.grad`, which is why the training loop sets it to
# `None`.
#
# The pipeline computes its gradients in `stages/train_bigram_neural.py`:
#
# ```sh
# dvc repro --force --single-item train_bigram_neural
# ```
#
# </details>

# %% [markdown]
# ### Exercise 4: a trigram
#
# Predict each character from the *two* before it. Write a function that counts triples in one list
# of names in a 27 × 27 × 27 table, adds `k` to every count, and returns the NLL per character of
# another list. Put two dots before a name and one after it, so that it scores the same characters
# as the bigram.
#
# Expected: all names, counted with `k=1`, have a loss between 2.1 and 2.3, less than any bigram.

# %%
trigram_loss = None  # a function: def trigram_loss(counted, scored, k): ...

# %%
check.trigram(trigram_loss, names, len(itos))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def to_triples(names):
#     texts = [".." + name + "." for name in names]
#     rows = [[stoi[c] for c in text[i : i + 3]] for text in texts for i in range(len(text) - 2)]
#     return torch.tensor(rows).T
#
#
# def trigram_loss(counted, scored, k):
#     N3 = torch.full((len(itos),) * 3, float(k), dtype=torch.float64)
#     one = torch.ones((), dtype=torch.float64)
#     N3.index_put_(tuple(to_triples(counted)), one, accumulate=True)
#     P3 = N3 / N3.sum(dim=2, keepdim=True)
#     return -P3[tuple(to_triples(scored))].log().mean().item()
# ```
#
# With one dot instead of two, the first letter is never predicted, and the loss cannot be compared.
# The pipeline, on train:
#
# ```sh
# dvc exp run -S ngram_count.order=3 -S ngram_count.smoothing=add_k -S ngram_count.k=1
# ```
#
# </details>

# %% [markdown]
# ### Exercise 5: train, dev and test
#
# The list has girls' names first and boys' names after them. Cut it at random into three lists of
# names: 80 % train, 10 % dev, 10 % test. Then count on train alone, and compare train and dev with
# `bigram_loss` from section 7, which takes tables of counts, and your `trigram_loss`, both with
# `k=1`. Which one loses more on names that it has not seen?
#
# Expected: about 25,600, 3,200 and 3,200 names. Pairs have about the same loss on train and dev,
# triples 0.01 to 0.04 more on dev.

# %%
my_parts = None  # [train, dev, test]
my_losses = None  # [pairs on train, pairs on dev, triples on train, triples on dev]

# %%
check.split(my_parts, my_losses, names, len(itos))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# import math
# import random
#
# shuffled = names.copy()
# random.Random(42).shuffle(shuffled)
# first, second = math.ceil(0.8 * len(names)), math.ceil(0.9 * len(names))
# my_parts = [shuffled[:first], shuffled[first:second], shuffled[second:]]
# seen, new, _ = my_parts
# my_losses = [
#     bigram_loss(count(seen), count(seen), 1),
#     bigram_loss(count(seen), count(new), 1),
#     trigram_loss(seen, seen, 1),
#     trigram_loss(seen, new, 1),
# ]
# ```
#
# Split names, not pairs: the pairs of one name belong together. The more cells a table has, the
# fewer names stand behind each, and the more it loses on new names. The pipeline, with other draws:
#
# ```sh
# dvc exp run -S split.seed=7
# cat metrics/nll/train.json metrics/nll/dev.json
# ```
#
# </details>

# %% [markdown]
# ### Exercise 6: how much smoothing does a trigram need?
#
# Take the parts of the pipeline, `lab.train`, `lab.dev` and `lab.test`. Try several `k` and keep
# the one with the lowest loss on dev. Then, once, compute the loss on test.
#
# Expected: losses between 2.18 and 2.24. Look at train, too: which `k` would train choose?

# %%
my_choice = None  # (k, loss on train, loss on dev, loss on test)

# %%
check.smoothing(my_choice, (lab.train, lab.dev, lab.test), len(itos))

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# tried = [0.01, 0.03, 0.1, 0.2, 0.3, 1, 3, 10]
# on_dev = {k: trigram_loss(lab.train, lab.dev, k) for k in tried}
# k = min(on_dev, key=on_dev.get)
# my_choice = (k, *(trigram_loss(lab.train, part, k) for part in (lab.train, lab.dev, lab.test)))
# ```
#
# It is 0.2: train 2.1914, dev 2.2223, test 2.2235. Train would choose the smallest `k` of all,
# because it has no unseen triples. Test agrees with dev, because only one number was chosen there.
# The pipeline, with all three losses:
#
# ```sh
# dvc exp run -S ngram_count.order=3 -S ngram_count.smoothing=add_k -S ngram_count.k=0.2 \
#     -S 'evaluate.splits=[train,dev,test]'
# ```
#
# </details>

# %% [markdown]
# ### Exercise 7: without one-hot rows
#
# A one-hot row times `W` picks a row of `W`. Write a function that returns the same numbers without
# a one-hot tensor and without a product.
#
# Expected: one row of logits per input.

# %%
my_logits = None  # a function: def my_logits(W, x): ...

# %%
check.index(my_logits)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_logits(W, x):
#     return W[x]
# ```
#
# Indexing reads a row for each input. The product multiplies each input with all of `W`, almost
# always by 0. The pipeline's stored model indexes, too, in `charlm/models/bigram_neural.py`:
#
# ```sh
# python -m tools.score emma --model bigram_neural
# ```
#
# </details>

# %% [markdown]
# ### Exercise 8: `F.cross_entropy`
#
# Torch has logits, softmax, logarithm and mean in one function, `F.cross_entropy`. Write the loss
# of the network with it. It is faster, and it never computes `exp` of a large number. What does it
# want as its first argument?
#
# Expected: for the trained `W` and all pairs, the loss of the 100th step or a little less.

# %%
my_loss = None  # a function: def my_loss(W, x, y): ...

# %%
check.cross_entropy(my_loss)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# def my_loss(W, x, y):
#     return F.cross_entropy(W[x], y)
# ```
#
# The first argument is the logits. Giving it probabilities is a common mistake: nothing fails, and
# the loss is wrong. The pipeline uses it in its search for a learning rate:
#
# ```sh
# dvc repro --force --single-item find_learning_rate
# ```
#
# </details>

# %% [markdown]
# ### Exercise 9: one of our own
#
# Read every name from its end: `emma` becomes `amme`. Count the pairs again, without smoothing, and
# compute the loss. Before you run it, guess: is a name easier to predict forwards or backwards?
#
# Expected: between 2.4 and 2.5. Then find out why.

# %%
loss_backwards = None

# %%
check.backwards(loss_backwards, names)

# %% [markdown]
# <details><summary>Solution</summary>
#
# ```python
# N_back = count([name[::-1] for name in names])
# P_back = N_back / N_back.sum(dim=1, keepdim=True)
# x_back, y_back = to_pairs([name[::-1] for name in names])
# loss_backwards = -P_back[x_back, y_back].log().mean().item()
# ```
#
# It is the same. Backwards, the table is transposed. A symbol is the first of a pair exactly as
# often as it is the second of one, so the sums of its row and of its column are equal. Numerators
# and denominators of all probabilities are then the same, in another order, even for each single
# name. For this reason the loss did not notice the forgotten `keepdim`, either.
#
# The pipeline, in a clone that you can spare; `amme` gets the loss that `emma` had:
#
# ```sh
# rev data/names.txt > backwards.txt
# python -m tools.use backwards.txt
# dvc repro train_bigram_count
# python -m tools.score amme --model bigram_count
# ```
#
# </details>

# %% [markdown]
# ## Where to go on
#
# - [Lab 2](2_mlp.ipynb): more than one character of context.
# - [The audit](../audit/NOTEBOOKS.md) compares the numbers of this lab with those of two notebooks
#   written after the same lecture, row by row: [000](../audit/pages/000.md) and
#   [003](../audit/pages/003.md).
# - `make report` makes a page on which you can type a beginning and see what each model expects.
