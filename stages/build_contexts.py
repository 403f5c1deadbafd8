"""Turn names into examples: a context of characters, and the character that follows it.

    python -m stages.build_contexts    data/names.txt, data/splits/*.txt
        → data/vocabulary.json, data/contexts/{bigram,mlp}/{train,dev,test}.safetensors

The contexts of the bigrams are one character long, those of the MLP `contexts.block_size`. They
are two outputs, so that a different length does not rerun the bigrams. The n-gram model counts
names instead.
"""

from charlm import params
from charlm.core.runtime import run_stage
from charlm.core.storage import DATA, SPLITS, iter_lines, write_json
from charlm.data.examples import FOLDERS, build_split_examples, check_bigram_memory
from charlm.data.tensors import write_tensors
from charlm.data.vocabulary import PATH, build_vocabulary


def main() -> None:
    settings = params.load()
    block_sizes = dict(zip(FOLDERS, (1, settings.contexts.block_size), strict=True))
    names = iter_lines(DATA / "names.txt")
    vocabulary = build_vocabulary(map("".join, names), settings.vocabulary)
    check_bigram_memory(len(vocabulary))

    write_json(PATH, vocabulary.itos)
    for folder, block_size in block_sizes.items():
        count = 0
        for split in SPLITS:
            examples = build_split_examples(split, vocabulary, block_size)
            write_tensors(DATA / "contexts" / folder / f"{split}.safetensors", examples)
            count += len(examples["targets"])
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
