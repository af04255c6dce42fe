"""Who may import whom: scripts import rooms, never each other; see docs/overview.md."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
ROOMS = {"readers", "experiment", "training", "frozen", "evaluation", "autoencoder", "classifier", "segmentation",
         "translation", "shape_pose", "rendering", "paper", "reporting", "standin"}
# What any room may import.
COMMON = {"errors", "files", "memory"}
SHARED = {"dataset", "efficientnet_lite", "model", "pretrained_model", "utils"} | COMMON
SCRIPTS = {path.stem for path in PROJECT.glob("*.py")} - SHARED


@functools.cache
def imports(path: Path) -> set[str]:
    """Return the project's modules that a file imports, `room.module` or the name of a root module."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name.split(".")[0] in ROOMS | SHARED | SCRIPTS}


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def files(room: str) -> list[Path]:
    return sorted((PROJECT / room).rglob("*.py"))


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_scripts_are_imported_by_nothing(script):
    sources = [path for path in PROJECT.rglob("*.py") if not {".venv", "tests"} & set(path.relative_to(PROJECT).parts)]
    assert len(sources) > 30
    assert [path for path in sources if script in roots(path)] == []


SYSTEMS = {"autoencoder", "classifier", "segmentation", "translation", "shape_pose"}
# Which rooms, beside itself and the modules at the root, a room may import; None: nothing of the root but what any may.
MAY_IMPORT = {"experiment": None, "readers": None, "reporting": None, "standin": {"readers"},
              "rendering": {"readers"},
              "paper": {"experiment", "reporting"}, "frozen": {"experiment", "readers"},
              "training": {"experiment", "reporting"},
              "evaluation": {"experiment", "frozen", "readers", "reporting", "training"}}
MAY_IMPORT |= {system: ROOMS - SYSTEMS - {"paper", "standin", "rendering"} for system in SYSTEMS}


def test_every_room_has_its_arrows():
    assert set(MAY_IMPORT) == ROOMS == {path.parent.name for path in PROJECT.glob("*/__init__.py")}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_import_only_what_they_may(room):
    assert files(room)
    allowed = MAY_IMPORT[room]
    for path in files(room):
        assert roots(path) <= ({room, *COMMON} if allowed is None else {room} | allowed | SHARED), path


# What takes seconds to import, and what comes without it; what comes without one comes without all before it, too.
LIGHT = {
    "torchmetrics": ["train_ae", "train_classifier", "train_translation"],
    "torch._dynamo": ["eval_classifier", "eval_shape_pose", "eval_translation", "features", "inspect_dataset",
                      "translate_dataset", "try_config"],
    "torch": ["reporting.tables", "reporting.pictures", "readers", "experiment.config", "experiment.records",
              "experiment.run", "calculate_mean_and_var_accuracy", "plot_accuracy_over_time", "plot_class_accuracy",
              "report", "plot_extracted_and_saved_latent_space", "translation.cutting"]}


def test_scripts_that_do_not_need_what_takes_long_to_import_come_without_it():
    # From the lightest on, in one process.
    checks = [f"import {module}; assert '{heavy}' not in sys.modules, '{module} imports {heavy}'"
              for heavy, modules in reversed(LIGHT.items()) for module in modules]
    done = subprocess.run([sys.executable, "-c", "\n".join(["import sys", *checks])], cwd=PROJECT, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_training_knows_no_system_and_of_models_only_how_to_tell_that_frozen_weights_stay():
    for path in files("training"):
        assert roots(path) <= {"experiment", "reporting", "training", "utils", "pretrained_model", *COMMON}, path
        assert {name for name in imports(path) if name.startswith("pretrained_model")} <= {
            "pretrained_model", "pretrained_model.frozen_fingerprint"}, path
        assert {name.split(".")[1] for name in imports(path) if name.startswith("reporting.")} <= {"metrics"}, path


def test_the_loop_knows_no_model_and_no_dataset():
    assert roots(PROJECT / "training" / "loop.py") <= {"errors", "experiment", "training", "utils"}
    assert not imports(PROJECT / "training" / "loop.py") & {"training.command"}


def test_every_file_has_its_line_in_the_overview():
    overview = (PROJECT / "docs" / "overview.md").read_text(encoding="utf-8")
    for path in [*PROJECT.glob("*.py"), *(file for room in ROOMS for file in files(room))]:
        if path.name != "__init__.py":
            assert f"`{path.relative_to(PROJECT)}`" in overview, path
