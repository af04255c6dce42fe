"""The page about runs of all systems, which feed each other, from folders that are written by hand."""

import html
import json
import re

import pytest
from report_runs import finish, paint, section, table_lines, write

DIGITS = """
[dataset]
name = "glyphs"
root = "{root}/COPY"
[model]
type = "classifier"
variation = "scratch"
[training]
epochs = 2
seed = {seed}
"""
CYCLEGAN = """
[dataset]
name = "glyphs"
image_size = 16
[target]
name = "handwritten"
[model]
type = "cyclegan"
[training]
epochs = 2
seed = {seed}
[evaluation]
judge = "{root}/judge/1"
"""
OTHERS = {
    "streets": '[dataset]\nname = "carla"\n[model]\ntype = "deeplab"\n[training]\nepochs = 2\nseed = {seed}\n',
    "shapes": '[dataset]\nname = "views"\n[model]\ntype = "point_cloud"\n[training]\nepochs = 2\nseed = {seed}\n',
}


def write_chain(root):
    """Write runs of all systems, some of which feed others; the classifiers on translated copies are the last ones."""
    translated = {"dataset": "glyphs", "split": "test", "classifier": ""}
    finish(root, "judge", 1, DIGITS.replace("/COPY", "/drawn"), [{"dataset": "handwritten", "classifier": "network"}])
    for seed in (1, 2):
        run = finish(root, "look", seed, CYCLEGAN, [
            *({"metric": f"agreement/{of}", "value": value, **translated}
              for of, value in (("translated", 0.5 + seed / 10), ("untranslated", 0.4), ("real", 0.9))),
            *({"metric": "loss/total", "checkpoint": "epoch", "epoch": epoch, "value": 2.0 / epoch, **translated}
              for epoch in (1, 2))])
        paint(run / "images" / "translation_glyphs_test_last.png", "teal")
        copy = root / f"copy{seed}"
        copy.mkdir()
        source = {"name": "glyphs", "factor": [], "root": "data"}
        (copy / "translation.json").write_text(json.dumps({
            "run": str(run), "checkpoint": "last", "dataset": source, "command": ["translate_dataset.py", str(run)]}))
        finish(root, "on_copies", seed, DIGITS.replace("COPY", f"copy{seed}"),
               [{"dataset": "handwritten", "classifier": "network"}])
    finish(root, "streets", 1, OTHERS["streets"], [{"dataset": "carla", "classifier": "network", "metric": "miou"}])
    finish(root, "shapes", 1, OTHERS["shapes"], [
        {"dataset": "views cars", "classifier": name, "metric": "chamfer", "value": value}
        for name, value in (("network", 0.05), ("constant", 0.08))])
    write(root, "latents", 1, "x5", 0.5)


def test_runs_of_all_systems_share_a_page_that_says_what_fed_what(page_of, tmp_path):
    root = tmp_path / "results"
    write_chain(root)
    text = page_of()
    graph = section(text, "What fed what")
    assert {line[1]: (line[0], line[2]) for line in table_lines(graph) if line and line[0] != "dataset"} == {
        "judge": ("classifier", "glyphs"),
        "look": ("translation, cyclegan", "judge: judge\nrendered: glyphs\nreal: handwritten"),
        "on_copies": ("classifier", "translated glyphs"), "streets": ("segmentation", "carla"),
        "shapes": ("shape and pose", "views"), "latents": ("autoencoder, extractor", "sviro (i3)"),
        "glyphs": ("rendered images", "-"), "translated glyphs": ("translated dataset", "look"),
        "handwritten": ("real images", "-"),
        "handwritten, all": ("tested on", "judge\non_copies"), "glyphs, test": ("tested on", "look"),
        "carla, all": ("tested on", "streets"), "views cars, all": ("tested on", "shapes"),
        "sviro (x5), all": ("tested on", "latents")}
    assert graph.count("<rect") == len(table_lines(graph)) - 1
    # What was tested leads to the tables.
    [part] = re.findall(r'<section id="(part-\d+)">\s*<h2>Results', text)
    assert set(re.findall('<a href="#(.*?)"><title>', graph)) == {part}
    found = section(text, "Results")
    assert re.findall("<h3>(.*?)</h3>", found)[:5] == ["Autoencoder", "Classifier", "Segmentation", "Translation",
                                                       "Shape and pose"]
    lines = {line[2]: line[3:] for line in table_lines(found) if len(line) > 8}
    assert lines["look"][:4] == ["40.0 ± 0.0", "90.0 ± 0.0", "65.0 ± 7.1", "70.0"]
    assert lines["shapes"][:2] == ["8.00", "5.00"]
    assert "Translated images of glyphs, test, weights of the last epoch; look, seed 1" in section(text, "Pictures")
    commands = re.findall("<code>python (.*?)</code>", html.unescape(section(text, "Environment and commands")))
    made = [command.split()[2] if command.startswith("train.py") else command.split()[0] for command in commands]
    assert [name for name in made if name in ("judge", "look", "on_copies", "translate_dataset.py")] == [
        "judge", "look", "look", "translate_dataset.py", "translate_dataset.py", "on_copies", "on_copies"]
    assert f"eval_shape_pose.py {root / 'shapes' / '1'} --floors" in commands
    # Only systems that keep predictions lack them.
    assert {each[0] for each in table_lines(section(text, "What was run")) if each[1:2] == [
        "no predictions are kept: not among the class-wise figures"]} == {"judge", "on_copies"}


@pytest.mark.parametrize(("note", "said"), [
    ("no JSON", "cannot be read"), ('{"run": "gone/1"}', "it names no dataset"),
    ('{"run": "gone/1", "dataset": {"name": "glyphs", "root": "data"}}', "names the run gone/1, which is gone.")])
def test_the_page_comes_where_a_translated_dataset_does_not_say_what_made_it(page_of, tmp_path, note, said):
    root = tmp_path / "results"
    finish(root, "alone", 1, DIGITS)
    (root / "COPY").mkdir()
    (root / "COPY" / "translation.json").write_text(note)
    graph = section(page_of(), "What fed what")
    assert graph.count("<rect") == 2
    assert f"{root / 'COPY' / 'translation.json'}" in graph
    assert said in html.unescape(graph)
