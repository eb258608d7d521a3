"""The exceptions that a command-line program prints as one line, and what TensorFlow's own say in one."""

import re

# What its errors say about the graph, not about the fault: whole lines, and parts of the line that matters.
_GRAPH = re.compile(
    r"Graph execution error:|Detected at node|<stack traces unavailable>|File \"|Node: '|\[\[|Original stack trace"
    r"|\d+ root error\(s\) found|\d+ (successful|derived) "
)
_AROUND = re.compile(
    r"\{\{.*?\}\}|\[Op:.*?\]|^\s*\(\d+\)\s*|^\s*[A-Z_]{5,}: |assertion failed: \[|\] \[Condition .*"
    r"|Error in user-defined function .* iterator: \S+: "
)


class InputError(Exception):
    """Bad input: a file, a field or a package that the user has to mend.

    The message is one line that names the file or field, what is wrong with it and how to mend it. Command-line
    programs print it without a traceback and exit with status 2.
    """


class RunError(Exception):
    """A run failed for a reason outside it, such as a full disk; it can go on when that is mended.

    The message is one line. Command-line programs print it without a traceback and exit with status 1.
    """


def reason(error: Exception) -> str:
    """The line of a library's error that says what is wrong, without the graph around it; 200 characters at most."""
    lines = (_AROUND.sub("", line).strip() for line in str(error).splitlines() if not _GRAPH.match(line.strip()))
    return next((line for line in lines if line), type(error).__name__)[:200]
