import tools  # noqa: F401 - drops git's variables, and settles the arithmetic before torch is imported
