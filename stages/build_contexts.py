"""Turn names into examples: a context of characters, and the character that follows it.

    python -m stages.build_contexts    data/names.txt, data/splits/*.txt
        → data/vocabulary.json, data/contexts/{bigram,mlp,ngram}/{train,dev,test}.safetensors

The contexts of the bigrams are one character long, those of the MLP `contexts.block_size`, and
those of the counting n-gram model `ngram_count.order` - 1. They are three outputs, so that a
different length does not rerun the other models.
"""

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, SPLITS, split_path, write_json
from charlm.data.examples import FOLDERS, build_examples, check_bigram_memory
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import PATH, build_vocabulary
from charlm.names import read_names


def main() -> None:
    settings = params.load()
    block_sizes = dict(
        zip(FOLDERS, (1, settings.contexts.block_size, settings.ngram_count.order - 1), strict=True)
    )
    vocabulary = build_vocabulary(read_names(DATA / "names.txt"), settings.vocabulary)
    check_bigram_memory(len(vocabulary))
    splits = {split: read_names(split_path(split)) for split in SPLITS}

    write_json(PATH, vocabulary.itos)
    for folder, block_size in block_sizes.items():
        for split, names in splits.items():
            examples = build_examples(names, vocabulary, block_size)
            write_tensors(DATA / "contexts" / folder / f"{split}.safetensors", examples)
    count = sum(sum(map(len, names)) + len(names) for names in splits.values())
    sizes = ", ".join(map(str, block_sizes.values()))
    boundary = " and ".join(
        dict.fromkeys(vocabulary.decode([n]) for n in (vocabulary.start, vocabulary.end))
    )
    print(
        f"build_contexts: {len(vocabulary):,} symbols, of which {boundary} for start and end, "
        f"{count:,} examples at block sizes {sizes}"
    )


if __name__ == "__main__":
    run_stage(main)
