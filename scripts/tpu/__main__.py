"""Runs an experiment on a Cloud TPU, and deletes the TPU: python -m scripts.tpu COMMAND.

  launch          creates a TPU, trains, brings the metrics to results/, deletes the TPU (`make bert-nigt TPU=v3-8 …`)
  sweep           the same for each point of a grid of learning rates (`make bert-nigt-sweep TPU=v3-8 …`)
  status          all launches; `status NAME` asks Google besides
  logs NAME       the run's log so far
  attach NAME     takes over from a launcher that has died: follows the run, fetches, deletes
  delete NAME     deletes; a launcher that is at work is asked to end the run in order

Exit status: that of the training (0 done, 1 failed, 2 bad input, 3 diverged, 4 interrupted); 1 where something could
not be created, or is left at Google, which is then named with the command that deletes it.
"""

import json
import os
import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Callable

from absl import app, flags

from data import command_line
from data.errors import InputError, RunError
from scripts.exported.bundle import Bundle
from scripts.sweep import grid
from scripts.tpu import commands, gcloud, machine, request, sweep
from scripts.tpu.cost import Cost, estimate
from scripts.tpu.lifecycle import Launch
from scripts.tpu.state import State, StateFile
from trainers import gin_files
from trainers.checkout import ROOT, git_state
from trainers.exit_status import ExitStatus

_VERBS = ("launch", "sweep", "status", "logs", "attach", "delete")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the options; not at import, so that they do not meet those of other commands."""
    flags.DEFINE_string("experiment", None, "bert_nigt, resnet_sgd, …: a file of configs/paper.", flag_values=values)
    flags.DEFINE_string(
        "exported", None, "Instead of --experiment and --data: the folder that `make export` wrote.", flag_values=values
    )
    flags.DEFINE_string("tpu", None, "A file of configs/tpu: v3-8 or v3-32.", flag_values=values)
    flags.DEFINE_string("zone", None, "Of Google Cloud, like europe-west4-a.", flag_values=values)
    flags.DEFINE_string("project", None, "Of Google Cloud.", flag_values=values)
    flags.DEFINE_string("bucket", None, "For checkpoints; the run's folder in it is nigt/NAME.", flag_values=values)
    flags.DEFINE_string("data", None, "gs://BUCKET/FOLDER with the records.", flag_values=values)
    flags.DEFINE_string(
        "name", None, "Of the TPU and the run; made from the experiment if not given.", flag_values=values
    )
    flags.DEFINE_multi_string(
        "gin_param", [], "A further binding of the experiment, e.g. eta0=0.01. Repeatable.", flag_values=values
    )
    flags.DEFINE_multi_string(
        "tpu_param", [], "A further binding of the machine, e.g. runtime_version='…'.", flag_values=values
    )
    flags.DEFINE_float("price_per_core_hour", None, "Overrides the machine's.", lower_bound=0, flag_values=values)
    flags.DEFINE_string("currency", "USD", "Of the price, as it is shown.", flag_values=values)
    flags.DEFINE_integer("seed", 0, "Of the run.", lower_bound=0, flag_values=values)
    flags.DEFINE_bool("spot", False, "Cheaper; Google may take it back, and it is created anew.", flag_values=values)
    flags.DEFINE_bool(
        "queued", True, "Wait in Google's queue; --noqueued fails where no TPU is free.", flag_values=values
    )
    flags.DEFINE_float(
        "max_hours", None, "From the first creation to the deletion, in all.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_integer("max_restarts", 20, "After the TPU was taken back.", lower_bound=0, flag_values=values)
    flags.DEFINE_float(
        "expected_hours",
        None,
        "For the cost; if not given, a bound from results/tpu_check.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_bool("yes", False, "Spend without asking.", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "Print the commands and run none.", flag_values=values)
    flags.DEFINE_float("poll_seconds", 30.0, "Between two looks at the run.", lower_bound=0.01, flag_values=values)
    flags.DEFINE_string("results", "results/paper", "Where the run's rows go.", flag_values=values)
    flags.DEFINE_string("state_dir", "runs/tpu", "Where the launches are kept.", flag_values=values)
    flags.DEFINE_enum("phase", "final", ["final", "ablation", "tune"], "Of the run, for runs.csv.", flag_values=values)
    flags.DEFINE_bool("collect", True, "Bring the run's rows to --results.", flag_values=values)
    flags.DEFINE_integer("parallel", 1, "TPUs at a time, in a sweep.", lower_bound=1, flag_values=values)
    flags.DEFINE_string("grid", "configs/sweep/grid.gin", "The points of a sweep.", flag_values=values)
    flags.DEFINE_multi_string("axis", [], "Instead of the grid's: eta0=1e-3,1e-2.", flag_values=values)


def main(argv: list[str], values: flags.FlagValues = flags.FLAGS) -> int:
    """Does what the command line says and returns the exit status.

    Args:
      argv: The command and its arguments, without the flags.
      values: The flags.
    """
    verb, *names = argv[1:] or ["launch"]
    try:
        if verb not in _VERBS:
            raise InputError(f"{verb}: no such command; there are {', '.join(_VERBS)}")
        needs_name = verb in ("logs", "attach", "delete")
        if len(names) > (verb in ("status", "logs", "attach", "delete")) or (needs_name and not names):
            wants = "one NAME" if needs_name else "no such arguments"
            raise InputError(f"{' '.join([verb, *names])}: {verb} takes {wants}; see --help")
        for name in names:
            request.check("name", name)
        actions: dict[str, Callable[..., int]] = {"launch": _launch, "sweep": _sweep, "status": _status, "logs": _logs}
        return actions.get(verb, _take_over)(values, verb, *names)
    except InputError as error:
        command_line.say(f"launch: {error}", sys.stderr)
        return ExitStatus.BAD_INPUT
    except (RunError, gcloud.GcloudError) as error:
        command_line.say(f"launch: {error}", sys.stderr)
        return ExitStatus.FAILED


def _states(values: flags.FlagValues) -> StateFile:
    return StateFile(pathlib.Path(values.state_dir))


def _launch(values: flags.FlagValues, verb: str) -> int:
    del verb
    wanted, cost = _request(values, gin_files.split(values.gin_param), values.name)
    if values.dry_run:
        return _print_plans([wanted], cost, values.state_dir)
    states = _states(values)
    _refuse_a_second(states, wanted.name)
    if not _confirmed(values, cost.line()):
        return ExitStatus.FAILED
    return _run(Launch(_state(values, wanted), states, values.poll_seconds, _print))


def _state(values: flags.FlagValues, wanted: request.Request) -> State:
    results = str(pathlib.Path(values.results).resolve()) if values.collect else ""
    return State(wanted, results=results, results_phase=values.phase)


def _print(text: str) -> None:
    try:
        command_line.say(text, sys.stdout)
    except OSError:  # `… | tee log`, and tee has gone; what comes goes nowhere, and the launch goes on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(launch: Launch, attach: bool = False) -> int:
    """Follows a run to its end, and brings its rows to the results, also where its TPU could not be deleted."""
    try:
        return launch.run(attach)
    finally:
        if launch.has_fetched and launch.state.results and _is_done(launch.folder):
            _collect(launch.state, [launch.folder])


def _collect(state: State, folders: list[pathlib.Path]) -> None:
    """A process of its own: as a module it would bring its flags along."""
    runs = ",".join(str(folder.resolve()) for folder in folders)
    command = [
        sys.executable,
        "-m",
        "scripts.figures.collect",
        f"--runs={runs}",
        f"--output={state.results}",
        "--replace",
    ]
    done = subprocess.run([*command, f"--phase={state.results_phase}"], cwd=ROOT)
    if done.returncode:
        raise RunError(f"the runs are in {runs}, and could not be brought to {state.results}")


def _request(values: flags.FlagValues, bindings: list[str], name: str | None) -> tuple[request.Request, Cost]:
    """The checked request of the flags, and its cost."""
    bundle = _bundle(values, bindings) if values.exported else ""
    fields = ("zone", "project", "bucket") if bundle else ("experiment", "zone", "project", "bucket")
    given = {field: getattr(values, field) for field in fields}
    for field, value in given.items():
        request.check(field, value)
    if values.tpu is None:
        raise InputError("--tpu has no value: v3-8 or v3-32")
    bound = list(values.tpu_param)
    if values.price_per_core_hour is not None:
        bound.append(f"tpu_machine.price_per_core_hour = {values.price_per_core_hour!r}")
    elif not any("price_per_core_hour" in binding for binding in bound):
        raise InputError("--price_per_core_hour has no value: look it up for your zone (make … PRICE=1)")
    hardware = machine.load(f"configs/tpu/{values.tpu.replace('-', '_')}.gin", bound)
    if bundle and hardware.is_pod:
        raise InputError(f"--exported with --tpu={values.tpu}: it trains on one core; take v3-8")
    # An exported run was checked when it was exported, and has its data with it.
    steps, batch_size = (0, 0) if bundle else _validate_experiment(values.experiment, bindings, hardware.cores)
    limit = values.max_hours
    if limit is None:
        raise InputError("--max_hours has no value: how long the TPU may exist at most, in hours")
    bound_data = [binding for binding in bindings if ".data_dir" in binding]
    if values.data and bound_data:
        raise InputError(f"--data={values.data} and --gin_param={bound_data[0]}: leave one of them out")
    if not (values.data or bound_data or bundle):
        raise InputError(
            "--data has no value: gs://BUCKET/FOLDER with the records; no VM has them (make … DATA=gs://…)"
        )
    state = git_state()
    wanted = request.Request(
        name=name or request.default_name(bundle, values.experiment, bindings, values.seed, hardware.accelerator),
        bundle=bundle,
        bindings=tuple(bindings),
        seed=values.seed,
        machine=hardware,
        data=values.data,
        spot=values.spot,
        queued=values.queued,
        commit=state["commit"],
        max_hours=limit,
        max_restarts=values.max_restarts,
        **({"experiment": ""} | given),
    )
    if state["dirty"]:
        command_line.say("launch: uncommitted changes stay here: the TPU runs the last commit", sys.stderr)
    return wanted, estimate(wanted, steps, batch_size, values.expected_hours, values.currency)


def _bundle(values: flags.FlagValues, bindings: list[str]) -> str:
    """The folder of --exported, in full."""
    given = [name for name in ("experiment", "data", "seed") if values[name].present] + ["gin_param"] * bool(bindings)
    if given:
        raise InputError(f"--exported and --{given[0]}: leave one of them out; an exported run has its own")
    if values.expected_hours is None:
        raise InputError("--expected_hours has no value: nobody has timed an exported run on a TPU; give a guess")
    Bundle(pathlib.Path(values.exported))
    return str(pathlib.Path(values.exported).resolve())


def _validate_experiment(experiment: str, bindings: list[str], cores: int) -> tuple[int, int]:
    """(steps, batch size) of the experiment, loaded here as it will be there: a slip must not cost a TPU."""
    gin_file = str(ROOT / "configs" / "paper" / f"{experiment}.gin")
    loaded = gin_files.load(gin_file, list(bindings))
    batch_size = loaded.task.batch_size
    if batch_size % cores:
        raise InputError(f"{experiment}: batch_size ({batch_size}) cannot be shared by {cores} cores; change it")
    return loaded.train_steps, batch_size


def _print_plans(requests: list[request.Request], cost: Cost, states: str) -> int:
    command_line.say(f"# {cost.line(len(requests))}", sys.stdout, indent="# ")
    for wanted in requests:
        told = f"# {wanted.name}; the polls are repeated, and after a preemption what stands from create to fetch"
        command_line.say(told, sys.stdout, indent="# ")
        for command in commands.plan(wanted, states):
            shown = gcloud.show(command)
            if sys.stdout.isatty():  # a shell takes this too
                shown = command_line.paragraph([shlex.quote(word) for word in command], " \\", "    ")
            print(shown)
    return ExitStatus.DONE


def _confirmed(values: flags.FlagValues, line: str) -> bool:
    command_line.say(f"launch: {line}", sys.stdout)
    if values.yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("nobody is there to ask; say --yes to spend this (make … YES=1)")
    answer = input("launch: go on? [y/N] ")
    if answer.strip().lower() not in ("y", "yes"):
        print("launch: nothing was created")
        return False
    return True


def _sweep(values: flags.FlagValues, verb: str) -> int:
    del verb
    if values.exported:
        raise InputError("--exported: an exported run has one learning rate; launch each")
    runs, further = {}, gin_files.split(values.gin_param)
    for point in grid.points(grid.load(values.grid, values.axis)):
        name = request.point_name(values.experiment, values.tpu, point.name, values.seed, further)
        wanted, cost = _request(values, [*further, *point.bindings], name)
        if wanted.name in runs:
            raise InputError(f"{wanted.name}: two points of the sweep have the same name; leave one out")
        runs[wanted.name] = (wanted, cost)
    requests, cost = [wanted for wanted, _ in runs.values()], next(iter(runs.values()))[1]
    if values.dry_run:
        return _print_plans(requests, cost, values.state_dir)
    states = _states(values)
    waiting = [wanted for wanted in requests if not _is_done(states.folder / wanted.name)]
    for wanted in waiting:
        _refuse_a_second(states, wanted.name)
    if waiting and not _confirmed(values, cost.line(len(waiting))):
        return ExitStatus.FAILED
    outcomes = sweep.run_all([_quiet_launch(values, states, wanted) for wanted in waiting], values.parallel, _print)
    finished = [states.folder / name for name in runs if _is_done(states.folder / name)]
    if finished and values.collect:
        _collect(_state(values, requests[0]), finished)
    missing = [name for name in runs if not _is_done(states.folder / name)]
    left = [ended.text for ended in outcomes.values() if ended.is_left]
    if missing or left:
        message = "; ".join([f"{len(missing)} of {len(runs)} points are not done: {', '.join(missing)}", *left])
        if left or not any(ended.was_stopped for ended in outcomes.values()):
            raise RunError(message)
        command_line.say(f"launch: {message}", sys.stderr)
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE


def _quiet_launch(values: flags.FlagValues, states: StateFile, wanted: request.Request) -> Launch:
    """One of many: its lines go to a file, NAME.out."""
    states.folder.mkdir(parents=True, exist_ok=True)

    def write(text: str) -> None:
        with open(states.folder / f"{wanted.name}.out", "a") as file:
            print(text, file=file)

    return Launch(_state(values, wanted), states, values.poll_seconds, write)


def _refuse_a_second(states: StateFile, name: str) -> None:
    if states.path(name).exists() and (states.read(name).may_exist or states.read(name).launcher_is_alive):
        raise InputError(
            f"{name}: launched already and {states.read(name).phase}; see `python -m scripts.tpu status "
            f"{name}`, then attach or delete"
        )


def _is_done(folder: pathlib.Path) -> bool:
    """Whether a point's run has come to its end: also a diverged one is a result."""
    file = folder / "run.json"
    return file.exists() and json.loads(file.read_text()).get("status") in ("ok", "diverged")


def _status(values: flags.FlagValues, verb: str, *names: str) -> int:
    del verb
    states = _states(values)
    for name in names or states.names():
        try:
            state = states.read(name)
        except InputError as error:
            if names:
                raise
            print(error)
            continue
        launcher = f"launcher {state.process}" if state.launcher_is_alive else "no launcher at work"
        line = f"{state.request.name}: {state.phase}, restarts {state.restarts}, {launcher}"
        if names:
            line += f"; Google says: {gcloud.presence(state.request)[1]}"
        print(line + (f"; {state.outcome}" if state.outcome else ""))
        if state.may_exist and not state.launcher_is_alive:
            print(f"  it may exist and cost money: python -m scripts.tpu attach {state.request.name} (or delete)")
    return ExitStatus.DONE


def _logs(values: flags.FlagValues, verb: str, name: str) -> int:
    del verb
    wanted, offset = _states(values).read(name).request, 0
    while True:
        done = gcloud.short(commands.Commands(wanted).poll(offset))
        head, _, log = done.stdout.partition("\n")
        words = head.split()
        if done.returncode or words[:1] != ["nigt-vm:"]:
            raise RunError(f"{name}: no log to be had ({gcloud.last_line(done)})")
        print(log.removesuffix("nigt-vm: done\n"), end="")
        if int(words[-1]) == offset:
            return ExitStatus.DONE
        offset = int(words[-1])


def _take_over(values: flags.FlagValues, verb: str, name: str) -> int:
    states = _states(values)
    state = states.read(name)
    if not (state.may_exist or state.launcher_is_alive):
        print(f"launch: {name} is {state.phase}: nothing of it is at Google")
        return ExitStatus.DONE
    if state.launcher_is_alive and verb == "attach":
        raise InputError(f"{name}: its launcher, process {state.process}, is at work; `delete {name}` ends it in order")
    if state.launcher_is_alive:
        _wait_for_launcher(states, name)
        state = states.read(name)
        if not state.may_exist:
            print(f"launch: {name} is deleted")
            return ExitStatus.DONE
    if verb == "attach" and state.phase != "running":
        raise InputError(f"{name} is {state.phase}, not running: delete it and launch again")
    launch = Launch(state, states, values.poll_seconds, _print)
    if verb == "attach":
        return _run(launch, attach=True)
    launch.delete()
    return ExitStatus.DONE


def _wait_for_launcher(states: StateFile, name: str) -> None:
    """Asks the launcher that is at work to end the run in order, and waits until it has."""
    state = states.read(name)
    print(f"launch: asking the launcher of {name}, process {state.process}, to end", flush=True)
    states.ask_to_stop(name)
    while state.launcher_is_alive:
        time.sleep(0.2)
        state = states.read(name)


if __name__ == "__main__":
    define_flags(flags.FLAGS)
    app.run(main, flags_parser=command_line.parser("launch", "scripts.tpu"))
