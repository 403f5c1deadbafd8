"""The one error type of the project."""


class InputError(Exception):
    """Something outside the code is wrong: a parameter, a file, a server, the disk.

    Its message is one line for a person: what was found, where, what is allowed, what to do.
    `runtime.run` prints it and ends the program with `exit_status`.
    """

    exit_status = 1
