import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from refusals import refused
from runs import MINIMAL

from errors import UserError
from experiment.config import load_config
from experiment.run import check_free, create, expand, find_runs, open_run, warn_of_mixture

PROJECT = Path(__file__).parents[2]

TEXT = f"{MINIMAL}seed = 4\n"


@pytest.fixture
def config(tmp_path):
    (tmp_path / "experiment.toml").write_text(TEXT)
    return load_config(tmp_path / "experiment.toml")


@pytest.fixture
def make(config, tmp_path):
    """Make a run folder under tmp_path and let go of its lock."""

    def make(name):
        run = create(config, "letters", "cpu", tmp_path / name)
        run.release()
        return run.folder

    return make


def python(code, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], cwd=PROJECT, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def contents(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_runs_of_the_same_seed_in_the_same_second_never_share_a_folder(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [create(config, "letters", "cpu") for _ in range(20)]
    assert len({run.folder.resolve() for run in runs}) == 20
    assert {run.folder.parent for run in runs} == {Path("results/letters")}
    assert all(run.folder.name.startswith("4-") for run in runs)


@pytest.mark.parametrize("kind", ["run", "other content", "file"])
def test_a_taken_folder_is_refused_and_left_alone(config, make, tmp_path, kind):
    out = tmp_path / "out"
    if kind == "run":
        make("out")
    elif kind == "file":
        out.write_text("mine")
        with pytest.raises(UserError, match=f"^{out}/run: cannot be made: [^\n]*$"):
            create(config, "letters", "cpu", out / "run")
    else:
        out.mkdir()
        (out / "thesis.txt").write_text("mine")
    before = contents(tmp_path)
    for refuse in (lambda: create(config, "letters", "cpu", out), lambda: check_free(out)):
        with pytest.raises(UserError, match=rf"^{out}: [^\n]*taken[^\n]*$"):
            refuse()
    assert contents(tmp_path) == before


def git(*arguments):
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def test_a_new_run_has_its_config_folders_and_what_ran_where(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_ae.py", "cfg/x.toml", "--seed", "4"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    run = create(config, "letters", "cuda:1", tmp_path / "run")
    assert all(path.is_dir() for path in (run.checkpoints, run.logs, run.images))
    assert load_config(run.folder / "cfg.toml") == config
    assert tomllib.loads((run.folder / "cfg.toml").read_text())["training"]["seed"] == 4
    assert not run.done
    found = json.loads((run.folder / "environment.json").read_text())
    assert (found["experiment"], found["device"]) == ("letters", "cuda:1")
    assert found["command"] == ["train_ae.py", "cfg/x.toml", "--seed", "4"]
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["packages"]["torch"] == version("torch") == torch.__version__.partition("+")[0]
    assert {"torchvision", "numpy", "scikit-learn", "pillow"} <= set(found["packages"])
    status = git("status", "--porcelain")
    assert (found["commit"], found["dirty"]) == (git("rev-parse", "HEAD"), None if status is None else status != "")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    found = create(config, "letters", "cpu", tmp_path / "new" / "below" / "new").environment
    assert (found["commit"], found["dirty"]) == (None, None)


HOLDER = """
import sys
from pathlib import Path
from experiment.run import create
from experiment.config import load_config

run = create(load_config(sys.argv[1]), "letters", "cpu", Path(sys.argv[2]))
print("locked", flush=True)
sys.stdin.readline()
"""


def test_a_run_that_another_process_trains_is_refused_until_that_is_killed(config, tmp_path):
    holder = python(HOLDER, tmp_path / "experiment.toml", tmp_path / "run")
    assert holder.stdout.readline() == "locked\n"
    run = open_run(tmp_path / "run")
    message = refused(run.lock)
    assert str(tmp_path / "run") in message
    assert "another process" in message
    holder.kill()
    holder.communicate()
    run.lock()
    run.release()


def test_a_run_is_locked_from_its_making_until_its_release_and_closed_by_its_end(config, tmp_path):
    run = create(config, "letters", "cpu", tmp_path / "run")
    second = open_run(tmp_path / "run")
    with pytest.raises(UserError, match="another process"):
        second.lock()
    assert not second.done
    run.finish()
    assert run.done
    assert second.done
    second.lock()
    second.release()


KILLED = """
import os, sys
from pathlib import Path
from experiment import run
from experiment.config import load_config

config = load_config(sys.argv[1])
holder, name = {place}
setattr(holder, name, lambda *_: os.kill(os.getpid(), 9))
run.create(config, "letters", "cpu", Path(sys.argv[2]))
"""


@pytest.mark.parametrize("place", ['run, "describe_environment"', 'run, "dump_config"', 'os, "replace"'])
def test_a_kill_while_a_run_is_made_leaves_nothing_that_is_taken_for_a_run(config, tmp_path, place):
    killed = python(KILLED.format(place=place), tmp_path / "experiment.toml", tmp_path / "results" / "run")
    killed.communicate()
    assert killed.returncode == -9
    assert (tmp_path / "results" / "run").is_dir()
    assert not (tmp_path / "results" / "run" / "cfg.toml").exists()
    assert find_runs(tmp_path / "results") == []
    with pytest.raises(UserError, match="not a run folder"):
        open_run(tmp_path / "results" / "run")
    with pytest.raises(UserError, match="no run folder here"):
        expand([str(tmp_path / "results")])


def test_runs_that_may_be_meant_are_named(make):
    folder = make("mine/1-x")
    for near in (folder.parent, folder.parent / "1"):
        assert str(refused(open_run, near)).endswith(f"; run folders there: {folder}")
    assert "; did you mean 'mine'?" in refused(expand, [str(folder.parents[1] / "mien")])
    assert str(refused(expand, [str(folder.parents[1] / "x")])).endswith("below it)")


def test_opening_changes_nothing_and_overrides_stay_in_this_process(make):
    folder = make("run")
    before = {name: (folder / name).read_bytes() for name in ("cfg.toml", "environment.json")}
    run = open_run(folder, ["evaluation.classifiers=['svm']"])
    assert run.config.evaluation.classifiers == ["svm"]
    assert open_run(folder).config.evaluation.classifiers == ["knn", "forest", "svm"]
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("spoil", [lambda folder: None, lambda folder: folder.mkdir(), lambda folder: folder.touch(),
                                   lambda folder: folder.mkdir() or (folder / "cfg.toml").write_text("[dataset")])
def test_what_is_no_run_is_refused_and_says_what_was_looked_for(tmp_path, spoil):
    spoil(tmp_path / "thing")
    with pytest.raises(UserError, match=rf"^[^\n]*{tmp_path / 'thing' / 'cfg.toml'}[^\n]*$"):
        open_run(tmp_path / "thing")


@pytest.mark.parametrize("write", [
    lambda path: None, os.mkfifo, lambda path: path.symlink_to("/dev/zero"), os.mkdir,
    *(lambda path, text=text: path.write_text(text) for text in (
        "", "[1, 2]", "{}", "null", "not json", "[" * 10**5, '{"experiment": ' + "9" * 5000 + "}"))])
def test_an_environment_that_cannot_be_read_is_an_empty_one_and_the_run_is_called_by_its_folder(make, write):
    path = make("published/1") / "environment.json"
    path.parent.rename(path.parents[1] / "renamed")
    path = path.parents[1] / "renamed" / path.name
    assert open_run(path.parent).experiment == "letters"
    path.unlink()
    write(path)
    run = open_run(path.parent)
    assert (run.environment, run.experiment) == ({}, "published")


def test_find_runs_lists_the_runs_directly_below_in_order(make, tmp_path):
    folders = [make(name) for name in ("results/b", "results/a", "results/deep/c")]
    (tmp_path / "results" / "no run").mkdir()
    assert [run.folder for run in find_runs(tmp_path / "results")] == [folders[1], folders[0]]
    assert find_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize(("patterns", "found"), [
    (["results/x/1"], ["x/1"]), (["results/x"], ["x/1", "x/2"]), (["results"], ["x/1", "x/2", "y[1]/1"]),
    (["results/*/1"], ["x/1", "y[1]/1"]), (["results/x/*"], ["x/1", "x/2"]), (["results/y[1]"], ["y[1]/1"]),
    (["results/[x]/2"], ["x/2"]), (["results/y[1]/1", "results/x"], ["y[1]/1", "x/1", "x/2"]),
    # A run counts once, however it is spelled.
    *((["results/x/2", spelling], ["x/2"]) for spelling in (
        "results/x/2/", "./results/x/2", "results/x/../x/2", "link/2", "results/*/2"))])
def test_expand_takes_runs_experiments_and_globs(make, tmp_path, monkeypatch, patterns, found):
    for name in ("x/1", "x/2", "y[1]/1"):
        make(f"results/{name}")
    (tmp_path / "results" / "x" / "notes.txt").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "results" / "x")
    monkeypatch.chdir(tmp_path)
    assert expand(patterns) == [Path("results", name) for name in found]


@pytest.mark.parametrize("pattern", ["nowhere", "no*where", "empty", "file.txt"])
def test_expand_refuses_what_holds_no_run_by_name(make, tmp_path, pattern):
    run = make("run")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("mine")
    with pytest.raises(UserError, match=r"^[^\n]*cfg.toml[^\n]*$") as caught:
        expand([str(run), str(tmp_path / pattern)])
    assert str(tmp_path / pattern) in str(caught.value)


def test_runs_that_differ_from_the_first_in_the_same_keys_are_one_warning(make, capsys):
    folders = [make(name) for name in ("a", "b", "c", "d", "e")]
    for folder, line in zip(folders[1:4], ("epochs = 3", "epochs = 5", "batch_size = 7"), strict=True):
        text = (folder / "cfg.toml").read_text()
        (folder / "cfg.toml").write_text(re.sub(rf"(?m)^{line.split()[0]} = .*$", line, text))
    warn_of_mixture([open_run(folder) for folder in folders])
    a, b, _, d, _ = folders
    assert capsys.readouterr().err.splitlines() == [
        f"warning: runs of letters differ in training.epochs ({a}, {b} and 1 more)",
        f"warning: runs of letters differ in training.batch_size ({a}, {d})",
    ]
    warn_of_mixture([open_run(folder) for folder in folders], ("training.epochs", "training.batch_size"))
    assert capsys.readouterr().err == ""


def test_what_a_killed_process_was_writing_goes_when_the_run_is_taken_up_again(make):
    run = open_run(make("run"))
    (run.checkpoints / ".0123456789abcdef.tmp").write_text("half")
    (run.checkpoints / "last.pth").write_text("whole")
    run.lock()
    assert contents(run.checkpoints) == ["last.pth"]
    run.release()


@pytest.mark.parametrize("name", ["lock", "logs/training.log", "records.jsonl"])
def test_a_pipe_where_a_run_writes_is_refused_and_not_waited_for(make, name):
    path = make("run") / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(UserError, match=f"{path}: not a regular file"):
        open_run(path.parents[name.count("/")]).lock()
