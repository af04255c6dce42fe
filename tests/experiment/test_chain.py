"""What fed what, from run folders and translated datasets that are written by hand."""

import json
import os
from pathlib import Path

import pytest

from experiment.chain import Chain, datasets_in
from experiment.run import open_run

CLASSIFIER = """
[dataset]
name = "{name}"
factor = {factor}
root = "{root}"
[model]
type = "classifier"
variation = "scratch"
weights = "{weights}"
[training]
epochs = 1
seed = {seed}
"""
TRANSLATION = """
[dataset]
name = "glyphs"
factor = "bright"
image_size = 16
[target]
name = "handwritten"
split = "train"
[model]
type = "cyclegan"
[training]
epochs = 1
seed = {seed}
{training}
[evaluation]
{evaluation}
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(place, experiment, seed, text):
    """Write a run folder that is finished; return it, as configs name it."""
    run = place / experiment / str(seed)
    run.mkdir(parents=True)
    (run / "cfg.toml").write_text(text)
    (run / "environment.json").write_text(json.dumps({"experiment": experiment}))
    (run / "done").touch()
    return f"{experiment}/{seed}"


def classifier(place, experiment, seed=1, name="glyphs", factor="bright", root="data", weights="none"):
    return write(place, experiment, seed, CLASSIFIER.format(name=name, factor=json.dumps(factor), root=root,
                                                            weights=weights, seed=seed))


def translation(place, experiment, seed=1, training="", evaluation=""):
    return write(place, experiment, seed, TRANSLATION.format(seed=seed, training=training, evaluation=evaluation))


def copy(place, folder, content):
    (place / folder).mkdir(parents=True)
    (place / folder / "translation.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def note(run, **changes):
    """What translate_dataset.py says of a copy that it made with a run."""
    source = {"name": "glyphs", "factor": ["bright"], "split": None, "root": "data"}
    return {"run": run, "experiment": run.split("/")[0], "checkpoint": "last", "dataset": source,
            "command": ["translate_dataset.py", run]} | changes


def chain_of(*folders):
    return Chain([open_run(Path(folder)) for folder in folders])


def named(chain):
    """The links as (from, role, to), by name."""
    return {(chain.nodes[source].name, role, chain.nodes[target].name) for source, target, role in chain.links}


def test_a_chain_goes_from_the_data_by_a_translation_to_what_is_trained_on_its_copies(place):
    helper, judge = classifier(place, "helper"), classifier(place, "judge", name="handwritten", factor="")
    runs = [helper, judge]
    for seed in (1, 2):
        run = translation(place, "bound", seed, f'semantic = "{helper}"\nlambda_semantic = 1.0',
                          f'judge = "{judge}"')
        copies = copy(place, f"copies/{seed}", note(run))
        runs += [run, classifier(place, "on_copies", seed, root=copies)]
    chain = chain_of(*runs)
    chain.add_evaluations({"on_copies": ("handwritten, test",), "helper": ("handwritten, test",), "judge": ()})
    [copied] = [node for node in chain.nodes.values() if node.kind == "copy"]
    assert (copied.name, list(copied.folders), len(copied.commands)) == ("glyphs (bright)", ["copies/1", "copies/2"], 2)
    assert copied.about == ["last weights", "2 copies", "1, 2"]
    assert named(chain) == {
        ("glyphs (bright)", "", "helper"), ("handwritten", "", "judge"), ("glyphs (bright)", "rendered", "bound"),
        ("handwritten", "real", "bound"), ("helper", "semantic", "bound"), ("judge", "judge", "bound"),
        ("bound", "", "glyphs (bright)"), ("glyphs (bright)", "", "on_copies"),
        ("on_copies", "", "handwritten, test"), ("helper", "", "handwritten, test")}
    assert [(node.head, node.about) for node in chain.nodes.values() if node.kind in ("run", "dataset")] == [
        ("classifier", ["seed 1"]), ("classifier", ["seed 1"]), ("translation, cyclegan", ["2 seeds: 1, 2"]),
        ("classifier", ["2 seeds: 1, 2"]), ("rendered images", []), ("real images", ["train"])]
    assert not chain.remarks


def test_runs_that_are_named_are_looked_up_however_far_away(place):
    run = translation(place, "far", training=f'features = "{classifier(place, "farther")}"\nlambda_feature_g = 1.0')
    used = classifier(place, "asked", root=copy(place, "copy", note(run)))
    chain = chain_of(used)
    assert {("farther", "features", "far"), ("glyphs (bright)", "", "farther")} <= named(chain)
    assert {node.name: node.about for node in chain.nodes.values() if node.kind == "run"} == {
        "asked": ["seed 1"], "far": ["not on this page"], "farther": ["not on this page"]}


def test_weights_without_weight_names_and_files_are_no_links(place):
    helper = classifier(place, "helper")
    run = translation(place, "free", training=f'semantic = "{helper}"\nlambda_semantic = 0.0\nfeatures = "resnet18"\n'
                                              "lambda_feature_g = 1.0")
    chain = chain_of(run, classifier(place, "other", weights="some/file.pth"))
    assert {node.name for node in chain.nodes.values() if node.kind in ("run", "gone")} == {"free", "other"}
    chain = chain_of(classifier(place, "extracted", weights=helper))
    assert ("helper", "extractor", "extracted") in named(chain)


def test_factors_of_seeds_are_one_dataset_and_other_factors_another(place):
    runs = [classifier(place, "left_out", seed, "sviro", cars) for seed, cars in ((1, ["a", "b"]), (2, ["c", "d"]))]
    chain = chain_of(*runs, classifier(place, "one", name="sviro", factor=["a", "b"]))
    assert {(source, target) for source, _, target in named(chain)} == {
        ("sviro (4 factors)", "left_out"), ("sviro (a, b)", "one")}


def test_a_copy_of_other_data_than_a_run_was_trained_on_is_fed_by_both(place):
    run = translation(place, "bound")
    other = note(run, dataset={"name": "glyphs", "factor": [], "root": "data", "split": "all"})
    chain = chain_of(run, classifier(place, "used", root=copy(place, "copy", other)))
    assert {("glyphs", "rendered", "glyphs"), ("bound", "", "glyphs")} <= named(chain)
    published = {key: value for key, value in other.items() if key != "run"} | {"weights": "abc"}
    chain = chain_of(classifier(place, "more", root=copy(place, "second", published)))
    assert named(chain) == {("glyphs", "rendered", "glyphs"), ("glyphs", "", "more")}


def test_an_experiment_says_of_which_seeds_it_is_and_how_many_are_unfinished(place):
    def said(*seeds):
        [node] = [node for node in chain_of(*(runs[seed] for seed in seeds)).nodes.values() if node.kind == "run"]
        return node.about

    runs = {seed: classifier(place, "many", seed) for seed in range(1, 8)}
    (place / runs[2] / "done").unlink()
    assert [said(2), said(1, 2), said(*runs)] == [
        ["seed 2, unfinished"], ["2 seeds: 1, 2, 1 unfinished"], ["7 seeds, 1 unfinished"]]


def test_another_dataset_below_the_root_of_a_copy_is_none(place):
    run = classifier(place, "used", name="handwritten", factor="", root=copy(place, "copy", note("gone/1")))
    chain = chain_of(run)
    assert (named(chain), chain.remarks) == ({("handwritten", "", "used")}, {})


@pytest.mark.parametrize(("content", "said"), [
    ("no JSON", "cannot be read (Expecting value"), ("[" * 100_000, "cannot be read (nested too deeply)"),
    ("[1]", "holds no JSON object"), ({"dataset": {"name": 3, "root": "data"}}, "it names no dataset"),
    (note("x/1") | {"run": 7}, "it names no run"), (note("a\0b"), "it names no run"),
    (note("gone/1"), "names the run gone/1, which is gone."),
    (note("broken/1"), "names the run broken/1, which cannot be opened: broken/1/cfg.toml: "),
])  # fmt: skip
def test_of_a_copy_that_does_not_say_what_made_it_the_dataset_is_alone(place, content, said):
    write(place, "broken", 1, "no TOML at all")
    chain = chain_of(classifier(place, "used", root=copy(place, "copy", content)))
    assert named(chain) == {("glyphs (bright)", "", "used")}
    [remark] = chain.remarks
    assert remark.startswith("copy/translation.json")
    assert said in remark


def test_a_run_on_two_roots_is_fed_by_both(place):
    write(place, "mix", 1, CLASSIFIER.replace('"{root}"', '["data", "other"]').format(
        name="glyphs", factor='"bright"', weights="none", seed=1))
    chain = Chain([open_run(place / "mix" / "1")])
    assert sorted(folder for node in chain.nodes.values() if node.kind == "dataset" for folder in node.folders) == [
        "data", "other"]


def test_a_note_that_is_a_pipe_is_not_waited_for(place):
    (place / "copy").mkdir()
    os.mkfifo(place / "copy" / "translation.json")
    chain = chain_of(classifier(place, "used", root="copy"))
    assert "not a regular file" in next(iter(chain.remarks))


def test_a_judge_that_is_gone_is_shown_as_such(place):
    chain = chain_of(translation(place, "judged", evaluation='judge = "results/gone/1"'))
    assert ("gone/1", "judge", "judged") in named(chain)
    assert list(chain.remarks) == ["judged/1: evaluation.judge names the run results/gone/1, which is gone."]


def test_a_copy_that_says_it_is_of_itself_ends(place):
    own = note("used/1", dataset={"name": "glyphs", "factor": [], "root": "copy"})
    run = classifier(place, "used", root=copy(place, "copy", own))
    chain = chain_of(run)
    assert ("used", "", "glyphs") in named(chain)


def test_datasets_are_found_wherever_a_config_names_them():
    values = {"dataset": {"name": "a", "root": "r", "also": [{"name": "b", "root": None}]}, "model": {"name": "c"}}
    assert [(key, section["name"], section["root"]) for key, section in datasets_in(values, "r")] == [
        ("dataset", "a", "r"), ("dataset.also", "b", "r")]
