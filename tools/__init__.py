import charlm  # noqa: F401 - before anything imports torch
