import errno
import json
import os
import sys

import numpy as np
import pytest
import torch

from errors import UserError
from frozen import cache as feature_cache
from frozen.cache import entries, open_features
from readers.opened import Part


class Rendered:
    """As much of a dataset as features are computed from: images by number, each with its mirror image."""

    title, flips, device = "rendered (a)", 2, torch.device("cpu")

    def __init__(self, count=5):
        self.parts = [Part("rendered", "k", torch.arange(count))]


class Network:
    """As much of a network as features are named after."""

    extractor, input_size, normalize = torch.nn.Identity(), None, False
    frozen_part = "identity cut at -3"


class Live:
    """Makes features from image index and flip, counts the views, and is stopped after some of them."""

    def __init__(self, stop_after=None):
        self.views, self.stop_after = 0, stop_after

    def __call__(self, index, flip):
        self.views += len(index)
        if self.stop_after is not None and self.views > self.stop_after:
            raise KeyboardInterrupt
        return (index + 0.5 * flip)[:, None, None, None].float().expand(-1, 3, 2, 2)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(feature_cache, "CHUNK", 2)
    monkeypatch.setattr(feature_cache, "NOTE_EVERY", 0.0)


def check(cache, live=None, views=None):
    """Check that features are those of every view in order, for which so many views had to be computed."""
    live = live or Live()
    [(features, scale)] = open_features(Network(), Rendered(), cache, live)
    np.testing.assert_array_equal(features / scale, np.broadcast_to(np.arange(10)[:, None, None, None] / 2,
                                                                    (10, 3, 2, 2)))
    assert views in (None, live.views)
    assert not list((cache / "features").glob(".*.partial*"))


def stopped(cache, after=8):
    # Two views are looked at twice before the first is written: for their shape and for the time it will take.
    with pytest.raises(KeyboardInterrupt):
        open_features(Network(), Rendered(), cache, Live(stop_after=after))
    [folder] = (cache / "features").glob(".*.partial")
    return folder


def test_a_stopped_computation_is_gone_on_with_where_it_was(tmp_path):
    folder = stopped(tmp_path)
    assert json.loads((folder / "progress.json").read_text()) == 4
    assert [(entry.done, entry.about.views) for entry in entries(tmp_path)] == [(4, 10)]
    # What was written after the last note is computed again.
    with (folder / "features.npy").open("r+b") as file:
        file.seek(-20, 2)
        file.write(b"x" * 20)
    check(tmp_path, views=6)


def note(**changes):
    def write(folder):
        path = folder / "about.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return write


@pytest.mark.parametrize("damage", [
    *((lambda folder, noted=noted: (folder / "progress.json").write_text(noted)) for noted in (
        "-2", "11", "1e400", "null", "[]", '"4"', "4.5", "{")),
    *((lambda folder, size=size: os.truncate(folder / "features.npy", size)) for size in (0, 64, 150)),
    note(views=12), note(views="many"), note(shape=[3, 2]), note(shape=None), note(scale=0), note(scale="x"),
    lambda folder: [(folder / name).unlink() for name in ("progress.json", "about.json")]])
def test_an_unfinished_folder_that_is_damaged_starts_anew(tmp_path, damage):
    damage(stopped(tmp_path))
    check(tmp_path)


def damaged(name, content):
    return lambda folder: (folder / name).write_text(content)


@pytest.mark.parametrize(("damage", "told"), [
    *((lambda folder, size=size: os.truncate(folder / "features.npy", size), "") for size in (0, 64, 150)),
    (damaged("about.json", '{"views": 3}'), ""), (note(views=12), "tells of 12 views where there are 10"),
    (lambda folder: np.save(folder / "features.npy", np.zeros((8, 3, 2, 2), np.float16)),
     r"\(8, 3, 2, 2\) where float16 \(10, 3, 2, 2\) belongs")])
def test_finished_features_that_are_damaged_are_one_line(tmp_path, damage, told):
    check(tmp_path, views=14)
    [entry] = entries(tmp_path)
    about = entry.about
    assert (about.dataset, about.network) == ("rendered (a)", Network.frozen_part)
    assert (about.views, about.shape, about.bytes) == (10, (3, 2, 2), 10 * 12 * 2)
    damage(entry.folder)
    with pytest.raises(UserError, match=rf"cached features are damaged \(.*{told}"):
        open_features(Network(), Rendered(), tmp_path, Live())
    assert (entries(tmp_path)[0].about is None) == ('{"views": 3}' in (entry.folder / "about.json").read_text())


def test_a_kill_after_the_last_note_leaves_nothing_to_compute_and_somebody_elses_cache_is_read(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    def refused(*_):
        raise PermissionError("read-only")

    with monkeypatch.context() as patches:
        patches.setattr("readers.prepare.os.rename", killed)
        with pytest.raises(KeyboardInterrupt):
            open_features(Network(), Rendered(), tmp_path, Live())
    check(tmp_path, Live(stop_after=0), views=0)
    monkeypatch.setattr(feature_cache.os, "utime", refused)
    check(tmp_path, Live(stop_after=0), views=0)


def test_a_failure_that_may_pass_loses_nothing(tmp_path):
    class Failing(Live):
        def __call__(self, index, flip):
            if self.views == 8:
                raise RuntimeError("out of memory")
            return super().__call__(index, flip)

    with pytest.raises(RuntimeError, match="out of memory"):
        open_features(Network(), Rendered(), tmp_path, Failing())
    check(tmp_path, views=6)


def test_a_disk_that_somebody_else_fills_loses_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Filling(Live):
        def __call__(self, index, flip):
            if self.views == 8:
                monkeypatch.setattr(feature_cache, "write_text", full)
            return super().__call__(index, flip)

    with pytest.raises(UserError, match="cannot be written: No space left"):
        open_features(Network(), Rendered(), tmp_path, Filling())
    assert [entry.done for entry in entries(tmp_path)] == [4]


def test_an_array_that_the_disk_has_no_room_for_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("readers.prepare.os.posix_fallocate", full)
    with pytest.raises(UserError, match=r"cannot be written in .*: No space left"):
        open_features(Network(), Rendered(), tmp_path, Live())
    assert entries(tmp_path) == []


def test_time_and_room_are_announced_for_what_takes_long(tmp_path, monkeypatch, capsys):
    open_features(Network(), Rendered(), tmp_path / "short", Live())
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(feature_cache, "WORTH_SAYING", -1.0)
    open_features(Network(), Rendered(), tmp_path / "long", Live())
    said = capsys.readouterr().err
    assert "features of rendered (a): 10 views, 0.0 GiB in" in said
    assert "about 0 s; computed only once" in said


def test_the_script_lists_and_clears(tmp_path, succeed, fail):
    stopped(tmp_path)
    network = Network()
    network.normalize = True
    open_features(network, Rendered(), tmp_path, Live())
    out = succeed("features.py", "list", "--cache", tmp_path)
    assert "4 of 10" in out
    assert out.count("rendered (a)") == 2
    names = {entry.done: entry.name for entry in entries(tmp_path)}
    succeed("features.py", "clear", names[4], "--cache", tmp_path)
    assert [entry.done for entry in entries(tmp_path)] == [10]
    assert f"did you mean '{names[10]}'" in fail("features.py", "clear", names[10] + "x", "--cache", tmp_path)
    succeed("features.py", "clear", "--all", "--cache", tmp_path)
    assert entries(tmp_path) == []
    fail("features.py", "list", "--cache", tmp_path / "none")


def test_a_link_to_features_elsewhere_is_cleared_and_the_features_stay(tmp_path, script):
    open_features(Network(), Rendered(), tmp_path / "large", Live())
    [there] = entries(tmp_path / "large")
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / there.name).symlink_to(there.folder)
    check(tmp_path, Live(stop_after=0))
    code, out, _ = script("features.py", "clear", "--all", "--cache", tmp_path)
    assert (code, "0.00 GiB freed" in out, entries(tmp_path)) == (0, True, [])
    assert [entry.done for entry in entries(tmp_path / "large")] == [10]


def test_what_vanishes_while_the_cache_is_listed_is_no_error(tmp_path, monkeypatch):
    folder = stopped(tmp_path)
    assert [entry.done for entry in entries(tmp_path)] == [4]
    stat = feature_cache.Path.stat

    def gone(path, **options):
        if path == folder and sys._getframe(1).f_code.co_name == "entries":
            raise FileNotFoundError(path)
        return stat(path, **options)

    monkeypatch.setattr(feature_cache.Path, "stat", gone)
    assert entries(tmp_path) == []


def test_features_that_are_being_computed_are_not_cleared(tmp_path, script):
    class Clearing(Live):
        def __call__(self, index, flip):
            if self.views == 8:
                said.append(script("features.py", "clear", "--all", "--cache", tmp_path)[1])
            return super().__call__(index, flip)

    said = []
    check(tmp_path, Clearing())
    assert "kept, another process is computing it" in said[0]
