"""What was run, what differs and what is lacking."""

import csv
import io
import math
import shlex
from dataclasses import replace

from reporting.inventory import RunFacts, commands, contrast, lacking, lacks, overview, surroundings


def record(**changes):
    return {"checkpoint": "last", "epoch": 3, "value": 0.5} | changes


RUN = RunFacts("e", 1, "results/e/1-run", "E-AE, vgg11", False, True, "2026-01-02T10:00:00+00:00",
               "2026-01-02T11:00:00+00:00", 3, {}, {"commit": "0123456789abcdef", "dirty": True, "device": "cpu"},
               [record()], 1)


def lines(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_an_experiment_is_one_line_with_all_its_seeds():
    later = replace(RUN, seed=3, started="2026-02-01T00:00:00", finished="2026-02-03T00:00:00",
                    environment=RUN.environment | {"dirty": False})
    (line,) = lines(overview([RUN, later, replace(RUN, seed=2, done=False, finished="")], "csv"))
    assert (line["runs"], line["finished seeds"], line["unfinished seeds"]) == ("3", "1, 3", "2")
    assert line["from, to (UTC)"] == "2026-01-02 10:00\n2026-02-03 00:00"
    assert line["commit"] == "0123456789, dirty\n0123456789"


def test_several_runs_of_a_seed_are_counted_and_published_ones_have_no_seed():
    (line,) = lines(overview([RUN, RUN, replace(RUN, seed=2)], "csv"))
    assert line["finished seeds"] == "1 (2 runs), 2"
    (line,) = lines(overview([RUN, RUN, replace(RUN, seed=2), replace(RUN, seed=2)], "csv"))
    assert line["finished seeds"] == "1, 2 (2 runs each)"
    (line,) = lines(overview([replace(RUN, published=True, environment={}, seed=734234)], "csv"))
    assert (line["finished seeds"], line["commit"], line["device"]) == ("1 published", "-", "-")


def test_only_what_differs_is_contrasted():
    apart, alike = contrast({"a": [{"x": "1", "y": "2", "z": "3"}], "b": [{"x": "1", "y": "3", "z": "3"}] * 2,
                             "c": [{"x": "1", "y": "2", "z": "3"}, {"x": "1", "y": "2", "z": "4"}]}, "key", "csv")
    assert lines(apart) == [{"key": "y", "a": "2", "b": "3", "c": "2"}, {"key": "z", "a": "3", "b": "3", "c": "3\n4"}]
    assert lines(alike) == [{"key": "x", "value": "1"}]
    assert contrast({"a": [{"x": "1"}], "b": [{}]}, "key", "csv")[1] == ""


def test_what_varies_alike_within_all_experiments_is_no_common_value():
    apart, alike = contrast({name: [{"x": "1"}, {"x": "2"}] for name in "ab"}, "key", "csv")
    assert (lines(apart), alike) == ([{"key": "x", "a": "1\n2", "b": "1\n2"}], "")


def test_a_whole_run_lacks_nothing():
    assert lacks(RUN) == []
    assert lacking([RUN], "html") == ""


def test_everything_that_lacks_is_said():
    reached = [record(checkpoint="epoch", epoch=epoch) for epoch in (1, 2)]
    assert lacks(replace(RUN, done=False, records=reached)) == [
        "training is unfinished: epoch 2 of 3 is recorded", "not evaluated: in no table"]
    assert lacks(replace(RUN, records=[], environment={}, predictions=0)) == [
        "environment.json is missing or cannot be read", "no records: in no table and no curve",
        "no predictions are kept: not among the class-wise figures"]
    assert lacks(replace(RUN, records=[record(), record(value=math.nan)])) == [
        "1 of 2 recorded values are no finite numbers"]


def test_runs_that_lack_the_same_are_one_line():
    runs = [replace(RUN, seed=seed, folder=f"r{seed}", predictions=int(seed == 1)) for seed in (1, 2, 3)]
    (line,) = lines(lacking(runs, "csv"))
    assert (line["runs"], line["which"]) == ("2 of 3", "r2\nr3")
    assert lines(lacking(runs[1:], "csv"))[0]["which"] == "all"


def test_the_commands_of_runs_are_shown_once_and_strange_ones_not():
    said = [["a.py", "it's", "$HOME"], ["a.py", "it's", "$HOME"], "text", [1, None], [], None, ["b.py"]]
    assert [shlex.split(each) for each in commands(said)] == [["python", *said[0]], ["python", "b.py"]]


def test_strange_environments_are_taken():
    assert surroundings({"packages": ["torch"], "python": 3}) == {"python": "3"}
    assert surroundings({"packages": {"torch": "2"}}) == {"package torch": "2"}
