"""How the time to read a page of wikitext grows with the page: python -m scripts.bench.wikitext (`make bench`).

Dumps hold pages of megabytes with brackets that nobody closed, and a regular expression that goes back over them is
quadratic at once. Writes results/bench/wikitext.md.
"""

import gc
import sys
import time
from collections.abc import Callable

from data.bert.wikitext import plain_text
from trainers.checkout import ROOT, describe_commit
from trainers.running.atomic import write_atomically
from trainers.running.held import describe_device

SMALL, LARGE = 2_000, 32_000
# Times LARGE / SMALL: the quadratic is that ratio once more, 16 times.
LIMIT = 4.0
ROUNDS = 3
_UNITS = [
    "{{", "}}", "{{{", "{|", "|}", "[[", "]]", "[", "(", "( ", "'", "=", "= ", "<", "<br", "<br ", "<ref>",
    "<ref name=a", "</ref ", "<!--", "<!-- -->", "<math>", "<nowiki>", "<table>", "[http://", "[http://x ", "http://",
    "[mailto:", "_", "__A", "&", "&#1", "\n", "\n\n:", "{{a|", "{{nowrap|", "{{lang|fr|", "{{convert|1|to|", "[[a|",
    "[[File:", "[[file ", "{{a}}", "[[\n", "1{{a}}", "$", "''", "'''''", "{| {{a|[[", "<ref>[[{{", "{{a [[b }} c ]] ",
    "[[a {{b ]] c }} ", ") ", " ,",
]  # fmt: skip
_NESTED = (("{{", "}}"), ("{{nowrap|", "}}"), ("[[a|", "]]"), ("{|\n", "\n|}"), ("{{{", "}}}"))


def _repeated(unit: str, end: str = "") -> Callable[[int], str]:
    return lambda n: unit * n + "x" * n + end * n


# The page that holds n of each.
PAGES: dict[str, Callable[[int], str]] = {
    **{f"`{unit!r}`, not closed": _repeated(unit) for unit in _UNITS},
    **{f"`{unit!r}`, nested": _repeated(unit, end) for unit, end in _NESTED},
    "a heading that does not end": lambda n: "=" + " " * n + "x",
    "a heading of signs": lambda n: "=" * n + "x" + "=" * n,
    "a tag that does not end": lambda n: "<" + "a" * n,
    "a number that no character has": lambda n: "&#" + "1" * n + ";",
    "braces closed two at a time": lambda n: "{" * n + "}} x " * n,
    "links that templates close": lambda n: "{{nowrap|" * n + "[[" * n + "}}" * n,
    "brackets that are no links": lambda n: "[[\n" * n + "x" * n + "]]" * n,
}


def _seconds(source: str) -> float:
    started = time.process_time()
    plain_text(source)
    return time.process_time() - started


def main() -> int:
    """Measures, writes the table; the exit status: 1 where a page takes more than LIMIT times what is linear."""
    gc.disable()  # its passes grow with what the page leaves behind, not with the work
    rows = []
    for name, page in PAGES.items():
        small, large = page(SMALL), page(LARGE)
        pairs = [(_seconds(small), _seconds(large)) for _ in range(ROUNDS)]
        least, most = (min(column) for column in zip(*pairs, strict=True))
        rows.append((most / least / (LARGE / SMALL), name, least, most))
    rows.sort(reverse=True)
    text = "\n".join(
        [
            f"`python -m scripts.bench.wikitext`, {describe_device(1)}, {describe_commit()},",
            f"processor time, the least of n = {ROUNDS} rounds. At 1 the time grows as the page does, at"
            f" {LARGE // SMALL} as its square.",
            "",
            f"| page of repeated markup | growth | {SMALL:,} times, ms | {LARGE:,} times, ms |",
            "| --- | --- | --- | --- |",
            *(
                f"| {name.replace('|', chr(92) + '|')} | {growth:.2f} | {1000 * least:.2f} | {1000 * most:.1f} |"
                for growth, name, least, most in rows
            ),
            "",
        ]
    )
    write_atomically(ROOT / "results/bench/wikitext.md", text)
    print(text)
    return 0 if rows[0][0] <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
