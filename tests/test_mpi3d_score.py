"""compute_mpi3d_score.py as a user runs it, on tiny stand-ins; its arithmetic: tests/autoencoder/test_similarity.py."""

import shutil
import urllib.error

import lpips
import numpy as np
import pytest
import pytorch_msssim
import torch
from conftest import start

from experiment import records
from experiment.config import dump_config
from experiment.run import open_run
from reporting import pictures
from standin import write_standin

REAL = 4 * 4 * 3 * 3 * 2 * 2
SCRIPT = "compute_mpi3d_score.py"
CONFIG = """
[dataset]
name = "mpi3d"
factor = "toy"
root = "{root}"
cache = "{cache}"
image_size = 64
limit = 32

[model]
type = "conv"
variation = "ae"
dimension = 10
knn = 3

[training]
batch_size = 16
epochs = 1
loss = "bce"
device = "cpu"

[evaluation]
classifiers = ["knn"]

[[evaluation.datasets]]
name = "mpi3d"
factor = "real"
limit = 20
"""
METRICS = ["ssim/synthetic", "l1/synthetic", "ssim/real", "l1/real"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mpi3d")
    write_standin("mpi3d", folder, steps=2)
    return folder


@pytest.fixture(scope="module")
def first_run(root, cache, tmp_path_factory):
    """Train an AE on 32 toy images; a test works on a copy."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "mpi3d_ae.toml").write_text(CONFIG.format(root=root, cache=cache))
    assert start("train_ae.py", folder / "mpi3d_ae.toml", "--out", folder / "run") == 0
    return folder / "run"


@pytest.fixture
def run(first_run, tmp_path):
    return shutil.copytree(first_run, tmp_path / "results" / "mpi3d_ae" / "run")


@pytest.fixture(autouse=True)
def sheets(monkeypatch):
    """What is drawn, without the second that drawing takes: path and rows of each picture."""
    drawn = []
    monkeypatch.setattr(pictures, "pair_sheet", lambda path, rows, title: drawn.append((path, rows)))
    return drawn


@pytest.fixture
def no_alexnet(monkeypatch):
    """A machine that neither holds AlexNet's weights nor reaches the place where they are."""

    def refuse(**_):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(lpips, "LPIPS", refuse)


@pytest.fixture
def random_alexnet(monkeypatch):
    package = lpips.LPIPS
    monkeypatch.setattr(lpips, "LPIPS", lambda **options: package(**options, pnet_rand=True))


def scores(folder, checkpoint="last"):
    return {row["metric"]: row for row in records.read(folder)
            if row["metric"].startswith(("ssim/", "l1/", "lpips/")) and row["checkpoint"] == checkpoint}


def rewrite(folder, **changes):
    """Change the [dataset] section of a run's cfg.toml."""
    config = open_run(folder).config
    dataset = config.dataset.model_copy(update=changes)
    (folder / "cfg.toml").write_text(dump_config(config.model_copy(update={"dataset": dataset})))


@pytest.fixture
def as_published(monkeypatch):
    """Take the runs of these tests, which are far shorter, for those of Table S5."""
    monkeypatch.setattr("paper.tables.departures", lambda config: [])


def test_all_metrics_of_all_checkpoints_are_recorded_and_tabulated(succeed, run, random_alexnet, as_published):
    before = records.read(run)
    out = succeed(SCRIPT, run, "--limit", "50")
    for checkpoint in ("last", "best"):
        rows = scores(run, checkpoint)
        assert set(rows) == {*METRICS, "lpips/synthetic", "lpips/real"}
        assert all((row["dataset"], row["factor"], row["n"], row["epoch"]) == ("mpi3d", "real", 50, 1)
                   for row in rows.values())
        assert rows["ssim/real"]["selection"] == ("last epoch" if checkpoint == "last" else
                                                  "oracle: highest accuracy on mpi3d (real), all")
    assert records.read(run)[: len(before)] == before
    lines = [line.split() for line in out.splitlines() if line.strip().startswith("mpi3d_ae")]
    assert [line[:4] for line in lines] == [["mpi3d_ae", "toy", "AE", "BCE"]] * 4
    # Table S5's scores of this model stand beside.
    last = scores(run)
    assert lines[0][4:] == ["last", "epoch", "synthetic", f"{last['ssim/synthetic']['value']:.3f}", "0.559",
                            f"{last['lpips/synthetic']['value']:.3f}", "0.412",
                            f"{last['l1/synthetic']['value']:.3f}", "1", "50"]
    assert lines[1][6:9] == ["real", f"{last['ssim/real']['value']:.3f}", "-"]


def test_the_recorded_score_is_that_of_a_loop_over_the_npz_files(succeed, run, root, no_alexnet):
    from model import create_autoencoder

    succeed(SCRIPT, run, "--checkpoint", "last")
    config = open_run(run).config
    model = create_autoencoder(config.model, 64, 3).eval()
    model.load_state_dict(torch.load(run / "checkpoints" / "last_model.pth", weights_only=True))
    errors = {"synthetic": [], "real": []}
    domains = {name: np.load(root / "MPI3D" / f"{name}.npz")["images"].reshape(4, 4, 2, -1, 64, 64, 3)[:, :, 1]
               .reshape(-1, 64, 64, 3) for name in ("toy", "real")}
    for toy, real in zip(domains["toy"], domains["real"], strict=True):
        image = torch.from_numpy(real.transpose(2, 0, 1) / 255).float()[None]
        with torch.no_grad():
            output = model(image)[0][0].numpy().transpose(1, 2, 0)
        errors["synthetic"].append(np.abs(output - toy / 255).mean())
        errors["real"].append(np.abs(output - real / 255).mean())
    # Training was limited to 32 images, yet all real ones have found their partners.
    for against, values in errors.items():
        assert scores(run)[f"l1/{against}"]["n"] == len(values) == REAL
        assert scores(run)[f"l1/{against}"]["value"] == pytest.approx(np.mean(values), rel=1e-4)


def test_the_pictures_show_inputs_reconstructions_and_partners_with_their_similarity(succeed, run, sheets, root):
    succeed(SCRIPT, run, "--metric", "l1")
    assert [path for path, _ in sheets] == [run / "images" / f"mpi3d_score_{name}.png" for name in ("last", "best")]
    rows = sheets[0][1]
    (inputs, names), (outputs, marks), (others, other_names) = rows.values()
    assert list(rows) == ["real input", "reconstruction", "synthetic partner"]
    assert len(names) == len(marks) == 10
    assert [name.replace("real", "toy") for name in names] == other_names
    archives = {name: np.load(root / "MPI3D" / f"{name}.npz")["images"] for name in ("real", "toy")}
    for images, shown in ((inputs, names), (others, other_names)):
        for image, name in zip(images, shown, strict=True):
            domain, _, number = name.partition("-")
            assert np.allclose(image.transpose(1, 2, 0) * 255, archives[domain][int(number)], atol=1e-3)
    for output, other, mark in zip(outputs, others, marks, strict=True):
        similar = pytorch_msssim.ssim(torch.from_numpy(output)[None], torch.from_numpy(other)[None], data_range=1)
        assert float(mark.removeprefix("SSIM ")) == pytest.approx(float(similar), abs=0.006)


def test_without_alexnet_the_other_metrics_are_computed_and_one_line_says_what_is_missing(script, run, no_alexnet):
    code, _, err = script(SCRIPT, run, "--checkpoint", "last")
    assert code == 0
    (warning,) = [line for line in err.splitlines() if "lpips" in line.lower()]
    for part in ("lpips is left out", "no route to host", "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
                 "checkpoints/alexnet-owt-7be5be79.pth"):
        assert part in warning
    assert list(scores(run)) == METRICS


def test_lpips_by_name_that_cannot_be_had_is_an_error_before_anything_is_computed(script, run, no_alexnet, sheets):
    before = (run / "records.jsonl").read_bytes()
    code, out, err = script(SCRIPT, run, "--metric", "l1", "lpips")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith("error: LPIPS: AlexNet's ImageNet weights cannot be downloaded")
    assert (run / "records.jsonl").read_bytes() == before
    assert not sheets


def test_a_limit_takes_the_same_real_images_each_time_and_leaves_the_score_of_all(succeed, run, no_alexnet):
    arguments = (SCRIPT, run, "--metric", "ssim", "l1", "--checkpoint", "last")
    succeed(*arguments)
    whole = scores(run)
    succeed(*arguments, "--limit", "25")
    part = scores(run)
    out = succeed(*arguments, "--limit", "25")
    assert scores(run) == part
    for metric in METRICS:
        assert (whole[metric]["n"], part[metric]["n"]) == (REAL, 25)
        assert part[metric]["value"] != whole[metric]["value"]
        assert part[metric]["value"] == pytest.approx(whole[metric]["value"], rel=0.2)
    assert [line.split()[-1] for line in out.splitlines() if "mpi3d_ae" in line] == ["25", "25", str(REAL), str(REAL)]
    assert len((run / "records.jsonl").read_text().splitlines()) == len(records.read(run)) + 4


def test_recorded_scores_are_tabulated_without_computing(fail, succeed, run, no_alexnet, tmp_path):
    fail(SCRIPT, run, "--recorded")
    assert "allowed with it: --format, --out" in fail(SCRIPT, run, "--recorded", "--limit", "10")
    # Trained otherwise than the published runs, so without their scores.
    out = succeed(SCRIPT, run, "--limit", "10", "--checkpoint", "last", "--format", "markdown")
    assert "0.559" not in out
    before = (run / "records.jsonl").read_bytes()
    path = tmp_path / "table.md"
    assert succeed(SCRIPT, run, "--recorded", "--format", "markdown", "--out", path) == ""
    assert path.read_text() == out
    assert (run / "records.jsonl").read_bytes() == before


def test_seeds_are_averaged_and_the_same_seed_twice_is_refused(fail, succeed, run, no_alexnet):
    second = shutil.copytree(run, run.parent / "second")
    assert "same seed" in fail(SCRIPT, run.parent, "--limit", "10")
    text = (second / "cfg.toml").read_text()
    (second / "cfg.toml").write_text(text.replace("seed = 1", "seed = 2"))
    out = succeed(SCRIPT, run.parent, "--limit", "10", "--checkpoint", "last")
    (line,) = [line for line in out.splitlines() if "synthetic" in line and "mpi3d_ae" in line]
    value = scores(run)["ssim/synthetic"]["value"]
    assert f"{value:.3f} ± 0.000" in line
    assert line.split()[-2:] == ["2", "10"]


def test_frozen_features_lead_to_scores_too(succeed, root, cache, tmp_path, no_alexnet):
    path = tmp_path / "mpi3d_e_ae.toml"
    path.write_text(CONFIG.format(root=root, cache=cache).replace(
        'type = "conv"', 'type = "extractor"\nextractor = "small_cnn"\nweights = "none"'))
    out = tmp_path / "results" / "run"
    succeed("train_ae.py", path, "--out", out)
    text = succeed(SCRIPT, out, "--limit", "10", "--checkpoint", "last")
    assert [row["n"] for row in scores(out).values()] == [10] * 4
    assert "0.896" not in text


def test_real_images_may_lie_at_another_place(succeed, fail, run, root, no_alexnet, tmp_path):
    (tmp_path / "MPI3D").mkdir()
    shutil.copy(root / "MPI3D" / "real.npz", tmp_path / "MPI3D")
    where = f'evaluation.datasets=[{{name="mpi3d", factor="real", root="{tmp_path}"}}]'
    succeed(SCRIPT, run, "--limit", "10", "--checkpoint", "last", "--set", where)
    fail(SCRIPT, run, "--limit", "10", "--set", f"dataset.root={tmp_path}")


def test_real_images_on_another_grid_of_factors_are_refused(fail, run, no_alexnet, tmp_path):
    write_standin("mpi3d", tmp_path / "coarse", steps=1, factors=["real"])
    where = f'evaluation.datasets=[{{name="mpi3d", factor="real", root="{tmp_path / "coarse"}"}}]'
    message = fail(SCRIPT, run, "--metric", "l1", "--set", where)
    assert "(4, 4, 2, 3, 3, 1, 1)" in message
    assert "(4, 4, 2, 3, 3, 2, 2)" in message
    assert not scores(run)


@pytest.mark.parametrize(("changes", "found"), [
    ({"name": "glyphs", "factor": []}, "glyphs"), ({"factor": ["real"]}, "mpi3d, real")])
def test_a_run_that_was_not_trained_on_rendered_mpi3d_is_refused(fail, run, no_alexnet, changes, found):
    other = shutil.copytree(run, run.parent / "other")
    rewrite(other, **changes)
    assert fail(SCRIPT, run, other).endswith(f"was trained on {found}; allowed: mpi3d, toy or realistic")
    assert not scores(run)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--limit", "0"], "--limit: found 0; allowed: 1 or more"),
    (["--set", "training.loss=ssim"], "a finished run is evaluated as it was trained"),
])
def test_mistakes_are_one_line(fail, run, arguments, message):
    assert message in fail(SCRIPT, run, *arguments)


def test_images_too_small_for_alexnet_are_refused_with_lpips_only(script, fail, run, no_alexnet):
    rewrite(run, image_size=16)
    assert "LPIPS needs images of at least 32 pixels, found 16; allowed: --metric ssim l1" in fail(SCRIPT, run)
    # Without LPIPS it goes on, to the weights that do not fit the rewritten size.
    assert "does not fit the model" in script(SCRIPT, run, "--metric", "l1", "--limit", "5")[2]
