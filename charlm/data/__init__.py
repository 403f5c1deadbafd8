"""Names as numbers: the vocabulary, contexts and what follows them, stored arrays."""
