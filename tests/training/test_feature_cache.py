import errno
import json
import os
import sys

import numpy as np
import pytest
import torch

from errors import UserError
from training import feature_cache
from training.feature_cache import entries, open_features, read_about


class Rendered:
    """As much of a dataset as features are computed from: images by number, each with its mirror image."""

    name, title, key, flips, device = "rendered", "rendered (a)", "k", 2, torch.device("cpu")

    def __init__(self, count=5):
        self.images = range(count)


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


def expected():
    return np.broadcast_to(np.arange(10)[:, None, None, None] / 2, (10, 3, 2, 2))


def stopped(cache, after=8):
    # Two views are looked at twice before the first is written: for their shape and for the time it will take.
    with pytest.raises(KeyboardInterrupt):
        open_features(Network(), Rendered(), cache, Live(stop_after=after))
    [folder] = (cache / "features").glob(".*.partial")
    return folder


def test_features_are_those_of_every_view_in_order(tmp_path):
    features, scale = open_features(Network(), Rendered(), tmp_path, Live())
    np.testing.assert_array_equal(features / scale, expected())


def test_a_stopped_computation_is_gone_on_with_where_it_was(tmp_path):
    folder = stopped(tmp_path)
    assert json.loads((folder / "progress.json").read_text()) == 4
    assert [(entry.done, entry.about.views) for entry in entries(tmp_path)] == [(4, 10)]
    live = Live()
    features, scale = open_features(Network(), Rendered(), tmp_path, live)
    assert live.views == 6
    np.testing.assert_array_equal(features / scale, expected())
    assert not list((tmp_path / "features").glob(".*.partial*"))


def test_what_was_written_after_the_last_note_is_computed_again(tmp_path):
    folder = stopped(tmp_path)
    (folder / "progress.json").write_text("2")
    with (folder / "features.npy").open("r+b") as file:
        file.seek(-20, 2)
        file.write(b"x" * 20)
    features, scale = open_features(Network(), Rendered(), tmp_path, Live())
    np.testing.assert_array_equal(features / scale, expected())


def test_a_kill_before_the_first_note_starts_anew(tmp_path):
    folder = stopped(tmp_path)
    for name in ("progress.json", "about.json"):
        (folder / name).unlink()
    live = Live()
    features, scale = open_features(Network(), Rendered(), tmp_path, live)
    assert live.views == 14
    np.testing.assert_array_equal(features / scale, expected())


@pytest.mark.parametrize("noted", ["-2", "11", "1e400", "null", "[]", '"4"', "4.5", "{"])
def test_a_nonsensical_note_of_how_far_it_got_starts_anew(tmp_path, noted):
    folder = stopped(tmp_path)
    (folder / "progress.json").write_text(noted)
    assert [entry.done for entry in entries(tmp_path)] == [0]
    features, scale = open_features(Network(), Rendered(), tmp_path, Live())
    np.testing.assert_array_equal(features / scale, expected())


@pytest.mark.parametrize("damage", [{"views": 12}, {"views": "many"}, {"shape": [3, 2]}, {"shape": None}, {"scale": 0},
                                    {"scale": "x"}])
def test_an_unfinished_folder_with_another_description_starts_anew(tmp_path, damage):
    path = stopped(tmp_path) / "about.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    features, scale = open_features(Network(), Rendered(), tmp_path, Live())
    np.testing.assert_array_equal(features / scale, expected())


@pytest.mark.parametrize("size", [0, 64, 150])
def test_an_unfinished_folder_with_a_damaged_array_starts_anew(tmp_path, size):
    os.truncate(stopped(tmp_path) / "features.npy", size)
    features, scale = open_features(Network(), Rendered(), tmp_path, Live())
    np.testing.assert_array_equal(features / scale, expected())


def test_a_kill_after_the_last_note_leaves_nothing_to_compute(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patches:
        patches.setattr("readers.prepare.os.rename", killed)
        with pytest.raises(KeyboardInterrupt):
            open_features(Network(), Rendered(), tmp_path, Live())
    live = Live(stop_after=0)
    features, scale = open_features(Network(), Rendered(), tmp_path, live)
    assert live.views == 0
    np.testing.assert_array_equal(features / scale, expected())


def test_a_failure_that_may_pass_loses_nothing(tmp_path):
    class Failing(Live):
        def __call__(self, index, flip):
            if self.views == 8:
                raise RuntimeError("out of memory")
            return super().__call__(index, flip)

    with pytest.raises(RuntimeError, match="out of memory"):
        open_features(Network(), Rendered(), tmp_path, Failing())
    live = Live()
    features, scale = open_features(Network(), Rendered(), tmp_path, live)
    assert live.views == 6
    np.testing.assert_array_equal(features / scale, expected())


def test_a_disk_that_somebody_else_fills_loses_nothing(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    class Filling(Live):
        def __call__(self, index, flip):
            if self.views == 8:
                monkeypatch.setattr(feature_cache, "_write_json", full)
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


def test_features_in_somebody_elses_cache_are_read(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError("read-only")

    open_features(Network(), Rendered(), tmp_path, Live())
    monkeypatch.setattr(feature_cache.os, "utime", refused)
    features, scale = open_features(Network(), Rendered(), tmp_path, Live(stop_after=0))
    np.testing.assert_array_equal(features / scale, expected())


def test_time_and_room_are_announced_for_what_takes_long(tmp_path, monkeypatch, capsys):
    open_features(Network(), Rendered(), tmp_path / "short", Live())
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(feature_cache, "WORTH_SAYING", -1.0)
    open_features(Network(), Rendered(), tmp_path / "long", Live())
    said = capsys.readouterr().err
    assert "features of rendered (a): 10 views, 0.0 GiB in" in said
    assert "about 0 s; computed only once" in said


def test_a_damaged_description_is_one_line(tmp_path):
    open_features(Network(), Rendered(), tmp_path, Live())
    [entry] = entries(tmp_path)
    (entry.folder / "about.json").write_text('{"views": 3}')
    with pytest.raises(UserError, match="cached features are damaged"):
        open_features(Network(), Rendered(), tmp_path, Live())
    assert entries(tmp_path)[0].about is None


@pytest.mark.parametrize("size", [0, 64, 150])
def test_a_damaged_array_is_one_line(tmp_path, size):
    open_features(Network(), Rendered(), tmp_path, Live())
    os.truncate(entries(tmp_path)[0].folder / "features.npy", size)
    with pytest.raises(UserError, match="cached features are damaged"):
        open_features(Network(), Rendered(), tmp_path, Live())


def test_features_of_another_number_of_views_are_refused(tmp_path):
    open_features(Network(), Rendered(), tmp_path, Live())
    with pytest.raises(UserError, match=r"\(10, 3, 2, 2\) where float16 \(8, 3, 2, 2\) belongs"):
        open_features(Network(), Rendered(4), tmp_path, Live())


def test_the_description_says_what_lies_there(tmp_path):
    open_features(Network(), Rendered(), tmp_path, Live())
    about = read_about(entries(tmp_path)[0].folder)
    assert (about.dataset, about.network) == ("rendered (a)", Network.frozen_part)
    assert (about.views, about.shape) == (10, (3, 2, 2))
    assert about.bytes == 10 * 12 * 2


def test_the_script_lists_and_clears(tmp_path, script):
    stopped(tmp_path)
    network = Network()
    network.normalize = True
    open_features(network, Rendered(), tmp_path, Live())
    code, out, _ = script("features.py", "list", "--cache", tmp_path)
    assert code == 0
    assert "4 of 10" in out
    assert out.count("rendered (a)") == 2
    names = {entry.done: entry.name for entry in entries(tmp_path)}
    code, out, _ = script("features.py", "clear", names[4], "--cache", tmp_path)
    assert (code, [entry.done for entry in entries(tmp_path)]) == (0, [10])
    code, _, err = script("features.py", "clear", names[10] + "x", "--cache", tmp_path)
    assert (code, f"did you mean '{names[10]}'" in err) == (2, True)
    assert script("features.py", "clear", "--all", "--cache", tmp_path)[0] == 0
    assert entries(tmp_path) == []
    assert script("features.py", "list", "--cache", tmp_path / "none")[0] == 2


def test_a_link_to_features_elsewhere_is_cleared_and_the_features_stay(tmp_path, script):
    open_features(Network(), Rendered(), tmp_path / "large", Live())
    [there] = entries(tmp_path / "large")
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / there.name).symlink_to(there.folder)
    features, scale = open_features(Network(), Rendered(), tmp_path, Live(stop_after=0))
    np.testing.assert_array_equal(features / scale, expected())
    code, out, _ = script("features.py", "clear", "--all", "--cache", tmp_path)
    assert (code, "0.00 GiB freed" in out, entries(tmp_path)) == (0, True, [])
    assert [entry.done for entry in entries(tmp_path / "large")] == [10]


@pytest.mark.parametrize("vanishing", ["progress.tmp", ""])
def test_what_vanishes_while_the_cache_is_listed_is_no_error(tmp_path, monkeypatch, vanishing):
    folder = stopped(tmp_path)
    (folder / "progress.tmp").write_text("4")
    stat = feature_cache.Path.stat

    def gone(path, **options):
        if path == folder / vanishing and sys._getframe(1).f_code.co_name in ("_size", "entries"):
            raise FileNotFoundError(path)
        return stat(path, **options)

    monkeypatch.setattr(feature_cache.Path, "stat", gone)
    assert [entry.done for entry in entries(tmp_path)] == ([4] if vanishing else [])


def test_features_that_are_being_computed_are_not_cleared(tmp_path, script):
    class Clearing(Live):
        def __call__(self, index, flip):
            if self.views == 8:
                said.append(script("features.py", "clear", "--all", "--cache", tmp_path)[1])
            return super().__call__(index, flip)

    said = []
    features, scale = open_features(Network(), Rendered(), tmp_path, Clearing())
    assert "kept, another process is computing it" in said[0]
    np.testing.assert_array_equal(features / scale, expected())
