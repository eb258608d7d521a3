"""Trains one experiment: python -m trainers.train --gin_file=configs/laptop/bert_nigt.gin --model_dir=DIR.

Exit status: 0 done, 1 failed, 2 bad configuration or missing data, 3 diverged, 4 interrupted (repeat it to resume).
"""

import atexit
import logging
import os
import pathlib
import sys

from absl import app, flags

from data import command_line
from data.errors import InputError, RunError
from trainers import data_folder, gin_files, names
from trainers.exit_status import ExitStatus
from trainers.running.interruption import Interruption

_GIN_FILE = flags.DEFINE_string("gin_file", None, "The experiment, e.g. configs/laptop/bert_nigt.gin.", required=True)
_GIN_PARAM = flags.DEFINE_multi_string("gin_param", [], "Further bindings, e.g. eta0=0.01. Repeatable.")
_MODEL_DIR = flags.DEFINE_string("model_dir", None, "Where the run's files go; see trainers/names.py if not set.")
_MODE = flags.DEFINE_enum("mode", "train_and_eval", ["train_and_eval", "train", "eval"], "What to do.")
_SEED = flags.DEFINE_integer("seed", None, "Of initialization, order, augmentation and dropout.", lower_bound=0)
_CHECK = flags.DEFINE_bool("check", False, "Only look whether the gin file and the options are right; needs no data.")
_THREADS = flags.DEFINE_integer("threads", None, "Threads for TensorFlow; all cores if not set.", lower_bound=1)


def main(argv: list[str]) -> int:
    """Runs what the flags say and returns the exit status."""
    interruption = Interruption()
    interruption.install()
    model_dir, bindings = _MODEL_DIR.value, gin_files.split(_GIN_PARAM.value)
    try:
        if len(argv) > 1:
            raise InputError(f"unexpected argument {argv[1]!r}: options begin with --")
        experiment = gin_files.load(_GIN_FILE.value, bindings, _SEED.value)
        model_dir = model_dir or names.directory(_GIN_FILE.value, bindings, experiment.seed)
        config = gin_files.operative_config()
        _refuse_unwritable(model_dir)
        if _CHECK.value:
            return ExitStatus.DONE
        data_folder.require(experiment)
        if sys.stderr.isatty():
            print("starting TensorFlow; Ctrl-C stops the run, and the same command goes on", file=sys.stderr)
        from trainers.running import run  # TensorFlow takes seconds to import: a slip should not wait for it

        return run.run(experiment, config, model_dir, _MODE.value, _THREADS.value, interruption)
    except InputError as error:
        command_line.say(f"trainers.train: {error}", sys.stderr)
        return ExitStatus.BAD_INPUT
    except RunError as error:
        command_line.say(f"trainers.train: {error}", sys.stderr)
        return ExitStatus.FAILED
    except OSError as error:  # before or after the run itself
        place = error.filename or model_dir
        command_line.say(f"trainers.train: {place}: {error.strerror}; mend that", sys.stderr)
        return ExitStatus.FAILED
    finally:
        interruption.close()


def _refuse_unwritable(model_dir: str) -> None:
    path = pathlib.Path(model_dir).absolute()
    place = next(folder for folder in (path, *path.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        problem = "no permission to write" if place.is_dir() else "no folder"
        raise InputError(f"{place}: {problem}; choose another --model_dir or MODEL_DIR")


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
    app.run(_leave, flags_parser=command_line.parser("trainers.train", "trainers.train"))
