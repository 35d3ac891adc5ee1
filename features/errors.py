"""The one error class of the project: bad input that its owner can fix."""


class InputError(ValueError):
    """Input or settings that cannot be used: what we got, what we expected, what to do.

    Stages print it without a traceback and end with exit code 2; other exceptions are our bugs.
    """
