"""The exceptions that a command-line program prints as one line."""


class InputError(Exception):
    """Bad input: a file, a field or a package that the user has to mend.

    The message is one line that names the file or field, what is wrong with it and how to mend it. Command-line
    programs print it without a traceback and exit with status 2.
    """


class RunError(Exception):
    """A run failed for a reason outside it, such as a full disk; it can go on when that is mended.

    The message is one line. Command-line programs print it without a traceback and exit with status 1.
    """
