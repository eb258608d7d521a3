"""The theory, measured: python -m scripts.theory (`make theory`). Writes results/theory; --quick, runs/theory/quick.

Exit status: 0 done (also if a claim fails: that is a result), 2 bad input, 4 interrupted (the same command goes on).
"""

import os
import pathlib
import sys

# Each process works alone; NumPy's own threads would only get in the others' way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from absl import app, flags

from data import command_line
from data.errors import InputError

_QUICK = flags.DEFINE_boolean("quick", False, "T up to 1e4 only, in under two minutes; not into results/theory.")
_WORKERS = flags.DEFINE_integer("workers", 2, "Processes.", lower_bound=1)
_OUTPUT = flags.DEFINE_string("output", None, "Where the files go; default results/theory, or runs/theory/quick.")
_REPORT = flags.DEFINE_boolean("report", False, "Measure nothing: the other files anew from measurements.csv.")
_CACHE = flags.DEFINE_string("cache", "runs/theory/cache", "Where finished measurements are kept, to go on from.")


def main(argv: list[str]) -> int:
    """See the module."""
    quick, workers, output = _QUICK.value, _WORKERS.value, _OUTPUT.value
    if len(argv) > 1:
        print(f"theory: unexpected {argv[1]}; all options start with --, see --help", file=sys.stderr)
        return 2
    chosen = [f"--output={output}"] if output else []
    command = " ".join(["python -m scripts.theory", *(["--quick"] if quick else []), *chosen])
    if not chosen:
        command = "make theory QUICK=1" if quick else "make theory"
    folder = pathlib.Path(output or ("runs/theory/quick" if quick else "results/theory"))
    try:
        from scripts.theory import making  # late: NumPy reads OMP_NUM_THREADS when it is imported

        if _REPORT.value:
            print(making.rewrite(folder))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            print(making.run(quick, workers, folder, pathlib.Path(_CACHE.value), command))
    except OSError as error:
        print(f"theory: {error.filename}: {error.strerror}; choose another --output or --cache", file=sys.stderr)
        return 2
    except InputError as error:
        print(f"theory: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("theory: interrupted; the same command goes on", file=sys.stderr)
        return 4
    print("theory: wrote", *sorted(str(path) for path in folder.iterdir()))
    return 0


if __name__ == "__main__":
    app.run(main, flags_parser=command_line.parser("theory", "scripts.theory"))
