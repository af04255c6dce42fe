"""Every benchmark runs, small, and its figures hang together."""

import json
import subprocess
import sys
import time
from multiprocessing import active_children
from pathlib import Path

import pytest

from benchmarks import common

PROJECT = Path(__file__).parent.parent


def run(tmp_path, name, *arguments):
    out = tmp_path / "figures.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments), "--out", str(out)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text()), done.stdout


def test_a_child_process_ends_with_the_call_that_is_interrupted(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(common, "memory", interrupted)
    since = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        common.in_child(time.sleep, 300)
    assert active_children() == []
    assert time.monotonic() - since < 100


def test_training_beside_its_plain_baseline(tmp_path):
    figures, out = run(tmp_path, "train_speed", "--models", "ae", "--sceneries", 8, "--batch", 8, "--rounds", 1)
    [row] = figures["rows"]
    assert row["ratio"] == pytest.approx(row["ours_per_s"] / row["plain_per_s"])
    assert "ae | no |" in out


def test_cost_and_memory_at_growing_sizes(tmp_path):
    rows, _ = run(tmp_path, "scaling", "--sizes", 70, "70x2", "--features", "squeezenet1_1", "--rounds", 1,
                  "--steps", 1, "--cache", tmp_path)
    assert [(row["sceneries"], row["variants"]) for row in rows] == [(70, 1), (70, 2)]
    assert rows[0]["step_ratio"] == 1
    assert all(0.1 < row["peak_gib"] < 4 for row in rows)
    assert not list(tmp_path.glob("tmp*"))


def test_a_whole_experiment_in_stages(tmp_path):
    figures, _ = run(tmp_path, "end_to_end", "cfg/demo_e_tae.toml", "--targets", "handwritten", "--sceneries", 100,
                     "--cache", tmp_path)
    stages = {row["stage"]: row for row in figures["stages"]}
    assert stages["epochs"]["full_items"] == 5000 * 10
    # Ten variants of each glyph, one image of each handwritten digit.
    assert stages["features"]["items"] == 1100
    assert figures["total_s"] == pytest.approx(sum(row["seconds"] / row["items"] * row["full_items"]
                                                   for row in figures["stages"]))
