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
# A bigram is a pair of neighbouring characters. In this lab you build a language model from nothing
# but pairs: first by counting them, then with a neural network of one layer. Both end at the same
# probabilities, and at the end you will know why.
#
# The order is that of [the lecture on bigrams](https://www.youtube.com/watch?v=PaCmpygFfXo) by
# Andrej Karpathy. Each step is shown twice: in a few lines of torch, and as this project's pipeline
# does it.
#
# Run the cells from top to bottom. Before that, run `make repro` once, which trains the models that
# the lab opens.

# %%
import os
import sys

os.chdir("." if os.path.exists("dvc.yaml") else "..")  # to the root of the project
sys.path.insert(0, os.getcwd())

# %%
from labs import support

lab = support.load("1_bigrams")

# %% [markdown]
# The pipeline's modules come first, because they fix how torch computes: with one thread, and with
# the same instructions on every x86-64 processor. That is why you see the same digits as here.

# %%
import matplotlib.pyplot as plt
import torch

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


print([first + second for first, second in pairs("emma")])

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
# 0. `N[i, j]` is how often symbol `j` follows symbol `i`.

# %%
itos = ["."] + sorted(set("".join(names)))  # the symbol of each number
stoi = {symbol: number for number, symbol in enumerate(itos)}  # and back

xs = torch.tensor([stoi[first] for name in names for first, _ in pairs(name)])
ys = torch.tensor([stoi[second] for name in names for _, second in pairs(name)])
N = torch.zeros(len(itos), len(itos), dtype=torch.int64)
N.index_put_((xs, ys), torch.tensor(1), accumulate=True)  # N[x, y] += 1 for every pair
print(N.shape, N.dtype)
print("names that begin with a:", N[0, stoi["a"]].item())
print("names that end with n:", N[stoi["n"], 0].item())


# %%
def draw_counts(counts, symbols, axes):
    axes.imshow(counts.double().log1p(), cmap="Blues")
    axes.set_xticks(range(len(symbols)), symbols, fontsize=7)
    axes.set_yticks(range(len(symbols)), symbols, fontsize=7)
    axes.set(xlabel="second symbol", ylabel="first symbol")


figure, axes = plt.subplots(figsize=(13, 13))
draw_counts(N, itos, axes)
for i in range(len(itos)):
    for j in range(len(itos)):
        colour = "white" if N[i, j] > 400 else "black"
        axes.text(j, i, N[i, j].item(), ha="center", va="center", fontsize=6, color=colour)
support.show(
    "Counts of all pairs of 27 symbols; the darker a cell, the more often the pair occurs."
)

# %% [markdown]
# Dark cells are common pairs. The row of the dot shows how names begin, and the column of the dot
# shows how they end. Many cells are 0. After `q` there are few letters, and `u` is by far the most
# frequent.

# %% [markdown]
# The pipeline builds the same table from arrays of examples.

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
# Nothing follows the end, and nothing comes before the start. The last row and one column are empty
# for certain, so one symbol for both ends is enough.

# %% [markdown]
# ## 4. From counts to names
#
# Divide each row by its sum, and it becomes a probability distribution: what comes next, given one
# symbol? `keepdim=True` keeps the sums as a column, so that each row is divided by its own sum.

# %%
P = N / N.sum(dim=1, keepdim=True)
print("sums of the first rows:", P.sum(dim=1)[:4])
for i in P[0].argsort(descending=True)[:3]:
    print(f"a name begins with {itos[i]} with probability {P[0, i]:.4f}")

# %% [markdown]
# To make up a name, start at the dot, draw a next symbol from its row, go to the row of that
# symbol, and stop at the next dot. A generator with a fixed seed makes the same draws every time.


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
# The first line is poor, but it has vowels in the right places and ends where names end. The
# second line comes from a model that knows nothing and finds all 27 symbols equally likely. The
# counts have learned something.

# %% [markdown]
# The pipeline has stored its table as `data/models/bigram_count.safetensors`. It was counted on
# train only, and smoothed, which comes later in this lab.

# %%
support.run("python -m tools.generate --model bigram_count -n 8 --seed 1")
support.run("python -m tools.generate --model uniform -n 2 --seed 1")
