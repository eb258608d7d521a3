"""The one exception for problems that the user can mend."""


class InputError(Exception):
    """Bad input: a file, a field or a package that the user has to mend.

    The message is one line that names the file or field, what is wrong with it and how to mend it. Command-line
    programs print it without a traceback and exit with status 2.
    """
