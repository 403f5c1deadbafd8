"""Turn names into examples: a context of characters, and the character that follows it.

    python -m stages.build_contexts    data/names.txt, data/splits/*.txt
        → data/vocabulary.json, data/contexts/{bigram,mlp}/{train,dev,test}.safetensors

The bigrams' contexts are one character long, the MLP's `contexts.block_size`. They are two
outputs, so that another block size leaves the bigrams as they are.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from stages import files, params, vocabulary
from stages.vocabulary import BOUNDARY


def build(names: list[str], itos: list[str], block_size: int) -> dict[str, np.ndarray]:
    """Return all examples of the names, in order.

    Of `emma` at block size 3 these are `... → e`, `..e → m`, `.em → m`, `emm → a`, `mma → .`

    Returns:
        contexts: (examples, block size), and targets: (examples,), symbol numbers in the
        smallest unsigned type that holds them. A name of n characters has n + 1 examples.
    """
    padding = BOUNDARY * block_size
    # the last boundary gives even an empty list one window, which is then dropped
    text = vocabulary.encode(f"{padding}{padding.join(names)}{padding}{BOUNDARY}", itos)
    letters = text != 0
    # of the boundaries between two names only the first is predicted: the one after a letter
    predicted = letters[block_size - 1 : -1] | letters[block_size:]
    windows = sliding_window_view(text, block_size + 1)[predicted]
    return {"contexts": windows[:, :-1], "targets": windows[:, -1]}


def main() -> None:
    settings = params.load().contexts
    itos = vocabulary.build(files.read_names(files.DATA / "names.txt"))
    splits = {
        split: files.read_names(files.DATA / "splits" / f"{split}.txt")
        for split in ("train", "dev", "test")
    }

    files.write_json(files.DATA / "vocabulary.json", itos)
    for folder, block_size in {"bigram": 1, "mlp": settings.block_size}.items():
        for split, names in splits.items():
            examples = build(names, itos, block_size)
            files.write_tensors(files.DATA / "contexts" / folder / f"{split}.safetensors", examples)
    count = sum(sum(map(len, names)) + len(names) for names in splits.values())
    sizes = f"block size 1 and {settings.block_size}"
    print(f"build_contexts: {len(itos)} symbols, {count} examples of {sizes}")


if __name__ == "__main__":
    main()
