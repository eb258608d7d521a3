"""Trains one experiment: python -m trainers.train --gin_file=configs/laptop/bert_nigt.gin --model_dir=DIR.

Exit status: 0 done, 1 failed, 2 bad configuration or missing data, 3 diverged, 4 interrupted (repeat it to resume).
"""

import atexit
import logging
import os
import sys

from absl import app, flags

from data.errors import InputError, RunError
from trainers import gin_files, names
from trainers.exit_status import ExitStatus
from trainers.running.interruption import Interruption

_GIN_FILE = flags.DEFINE_string("gin_file", None, "The experiment, e.g. configs/laptop/bert_nigt.gin.", required=True)
_GIN_PARAM = flags.DEFINE_multi_string("gin_param", [], "Further bindings, e.g. eta0=0.01. Repeatable.")
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Where the run's files go; see trainers/names.py if not set.")
_MODE = flags.DEFINE_enum("mode", "train_and_eval", ["train_and_eval", "train", "eval"], "What to do.")
_SEED = flags.DEFINE_integer("seed", None, "Of initialization, order, augmentation and dropout.", lower_bound=0)
_THREADS = flags.DEFINE_integer("threads", None, "Threads for TensorFlow; all cores if not set.", lower_bound=1)


def main(argv: list[str]) -> int:
    """Runs what the flags say and returns the exit status."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments {argv[1:]}")
    interruption = Interruption()
    interruption.install()
    model_dir, bindings = _MODEL_DIR.value, gin_files.split(_GIN_PARAM.value)
    try:
        experiment = gin_files.load(_GIN_FILE.value, bindings, _SEED.value)
        model_dir = model_dir or names.directory(_GIN_FILE.value, bindings, experiment.seed)
        config = gin_files.operative_config()
        from trainers.running import run  # TensorFlow takes seconds to import: a slip should not wait for it

        return run.run(experiment, config, model_dir, _MODE.value, _THREADS.value, interruption)
    except InputError as error:
        print(f"trainers.train: {error}", file=sys.stderr)
        return ExitStatus.BAD_INPUT
    except RunError as error:
        print(f"trainers.train: {error}", file=sys.stderr)
        return ExitStatus.FAILED
    except OSError as error:  # before or after the run itself
        print(f"trainers.train: {error.filename or model_dir}: {error.strerror}; mend that", file=sys.stderr)
        return ExitStatus.FAILED
    finally:
        interruption.close()


def _leave(argv: list[str]) -> None:
    """Runs main and ends the process, without the destructors of TensorFlow's objects.

    They wait for the thread that tunes the input, and it sleeps until a time of day: where the clock has been set back
    during the run, a finished run would not end for as long as that.
    """
    status = main(argv)
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


if __name__ == "__main__":
    app.run(_leave)
