"""Turn names into examples: a context of characters, and the character that follows it.

    python -m stages.build_contexts    data/names.txt, data/splits/*.txt
        → data/vocabulary.json, data/contexts/{bigram,mlp,ngram}/{train,dev,test}.safetensors

The bigrams' contexts are one character long, the MLP's `contexts.block_size`, and those of the
counting n-gram model one less than `ngram_count.order`. They are three outputs, so that another
length leaves the other models as they are.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from charlm import storage as files, params, vocabulary
from charlm.runtime import afford, run
from charlm.vocabulary import BOUNDARY


def build(names: list[str], itos: list[str], block_size: int) -> dict[str, np.ndarray]:
    """Return all examples of the names, in order.

    Of `emma` at block size 3 these are `... → e`, `..e → m`, `.em → m`, `emm → a`, `mma → .`

    Returns:
        contexts: (examples, block size), and targets: (examples,), symbol numbers in the
        smallest unsigned type that holds them. A name of n characters has n + 1 examples.
    """
    characters = sum(map(len, names)) + len(names)
    afford(
        f"contexts of {block_size} symbols before {characters:,} characters",
        3 * np.min_scalar_type(len(itos) - 1).itemsize * characters * (block_size + 1)
        + 12 * (characters + block_size * len(names)),
        "lower contexts.block_size or ngram_count.order, or take fewer names",
    )
    padding = BOUNDARY * block_size
    # the last boundary gives even an empty list one window, which is then dropped
    text = vocabulary.encode(f"{padding}{padding.join(names)}{padding}{BOUNDARY}", itos)
    letters = text != 0
    # of the boundaries between two names only the first is predicted: the one after a letter
    predicted = letters[block_size - 1 : -1] | letters[block_size:]
    windows = sliding_window_view(text, block_size + 1)[predicted]
    return {"contexts": windows[:, :-1], "targets": windows[:, -1]}


def main() -> None:
    settings = params.load()
    block_sizes = {
        "bigram": 1,
        "mlp": settings.contexts.block_size,
        "ngram": settings.ngram_count.order - 1,
    }
    itos = vocabulary.build(files.read_names(files.DATA / "names.txt"))
    splits = {
        split: files.read_names(files.DATA / "splits" / f"{split}.txt")
        for split in ("train", "dev", "test")
    }

    files.write_json(files.DATA / "vocabulary.json", itos)
    for folder, block_size in block_sizes.items():
        for split, names in splits.items():
            examples = build(names, itos, block_size)
            files.write_tensors(files.DATA / "contexts" / folder / f"{split}.safetensors", examples)
    count = sum(sum(map(len, names)) + len(names) for names in splits.values())
    sizes = ", ".join(str(block_size) for block_size in block_sizes.values())
    print(f"build_contexts: {len(itos)} symbols, {count} examples of block sizes {sizes}")


if __name__ == "__main__":
    run(main)
