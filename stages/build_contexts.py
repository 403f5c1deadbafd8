"""Turn names into examples: a context of characters, and the character that follows it.

    python -m stages.build_contexts    data/names.txt, data/splits/*.txt
        → data/vocabulary.json, data/contexts/{bigram,mlp,ngram}/{train,dev,test}.safetensors

The contexts of the bigrams are one character long, those of the MLP `contexts.block_size`, and
those of the counting n-gram model `ngram_count.order` - 1. They are three outputs, so that a
different length does not rerun the other models.
"""

from charlm import params, vocabulary
from charlm.examples import FOLDERS, build_examples
from charlm.names import read_names
from charlm.runtime import run_stage
from charlm.storage import DATA, SPLITS, split_path, write_json
from charlm.tensors import write_tensors


def main() -> None:
    settings = params.load()
    block_sizes = dict(
        zip(FOLDERS, (1, settings.contexts.block_size, settings.ngram_count.order - 1), strict=True)
    )
    itos = vocabulary.build_vocabulary(read_names(DATA / "names.txt"))
    splits = {split: read_names(split_path(split)) for split in SPLITS}

    write_json(vocabulary.PATH, itos)
    for folder, block_size in block_sizes.items():
        for split, names in splits.items():
            examples = build_examples(names, itos, block_size)
            write_tensors(DATA / "contexts" / folder / f"{split}.safetensors", examples)
    count = sum(sum(map(len, names)) + len(names) for names in splits.values())
    sizes = ", ".join(map(str, block_sizes.values()))
    print(f"build_contexts: {len(itos)} symbols, {count:,} examples at block sizes {sizes}")


if __name__ == "__main__":
    run_stage(main)
