"""The registry of tasks: what follows from a class in trainers/schema/tasks.py."""

import importlib
import re

import pytest

from scripts.figures import figure1
from trainers import gin_files
from trainers.checkout import ROOT
from trainers.schema.tasks import TASKS


@pytest.mark.parametrize("task", TASKS.values(), ids=str)
def test_a_task_has_its_module_its_gin_files_its_targets_and_its_panel(task):
    assert hasattr(importlib.import_module(f"trainers.tasks.{task.name}"), "configuration")
    files = sorted(ROOT.glob(f"configs/laptop/{task.name}_*.gin"))
    assert files and all(isinstance(gin_files.load(str(file), []).task, task) for file in files)
    assert task in [panel.task for panel in figure1.PANELS]


def test_every_gin_file_of_an_experiment_is_of_a_task_and_says_what_it_is():
    for file in ROOT.glob("configs/*/*_*.gin"):
        if file.parent.name in ("paper", "laptop"):
            assert file.stem.split("_")[0] in TASKS and re.match(r"# [^ ].{20}", file.read_text()), file
