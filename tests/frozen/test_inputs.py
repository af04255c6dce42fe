import numpy as np
import pytest
import torch
from inverted import write_inverted
from PIL import Image

from autoencoder.config import Model
from dataset import Scenes
from errors import UserError
from experiment.config import Dataset, EvaluationDataset
from frozen.inputs import CachedInputs, LiveInputs, create_inputs, photometric, uncached_because
from model import create_autoencoder
from readers import READERS
from readers.glyphs import Glyphs


class MirroredGlyphs(Glyphs):
    """Glyphs whose mirror images count as samples, to have both views cached."""

    name = "mirrored"
    mirrors = True


@pytest.fixture
def scenes(monkeypatch, tmp_path):
    monkeypatch.setitem(READERS, "mirrored", MirroredGlyphs)
    section = EvaluationDataset(name="mirrored", root="x", limit=7)
    return Scenes(section, 32, str(tmp_path), torch.device("cpu"))


def make(type="extractor", layer=-3, extractor="small_cnn", **options):
    torch.manual_seed(0)
    section = Model(type=type, variation="ae", extractor=extractor, weights="none", layer=layer, dimension=4, **options)
    return create_autoencoder(section, 32, 1)


def views(scenes):
    index = torch.arange(len(scenes.rows)).repeat(2)
    return index, torch.arange(len(index)) >= len(scenes.rows)


def test_cached_features_equal_live_ones_to_16_bit_precision(scenes, tmp_path):
    model = make()
    cached = create_inputs(model, scenes, tmp_path)
    assert isinstance(cached, CachedInputs)
    index, flip = views(scenes)
    order = torch.randperm(len(index))
    live = LiveInputs(model, scenes)(index[order], flip[order])
    torch.testing.assert_close(cached(index[order], flip[order]), live, rtol=1e-3, atol=1e-3)
    assert not torch.equal(cached(index, flip)[flip], cached(index, flip)[~flip])


def test_features_of_a_root_serve_again_where_it_is_joined_by_another(scenes, tmp_path):
    model, cache = make(), tmp_path / "features"
    for path in write_inverted("mirrored", "x", tmp_path / "copy", limit=7).rglob("*.png"):
        # Features as faint as these images are kept at another scale.
        Image.fromarray(np.asarray(Image.open(path)) // 32).save(path)
    for name, parameter in model.extractor.named_parameters():
        parameter.data.mul_(not name.endswith("bias"))
    create_inputs(model, scenes, tmp_path)
    [first] = cache.glob("mirrored-*")
    written = (first / "features.npy").stat().st_mtime_ns
    section = Dataset(name="mirrored", root=["x", str(tmp_path / "copy")], limit=7)
    both = Scenes(section, 32, str(tmp_path), torch.device("cpu"))
    assert isinstance(create_inputs(model, both, tmp_path, dry=True), LiveInputs)
    cached = create_inputs(model, both, tmp_path)
    assert len(list(cache.glob("mirrored-*"))) == len(cached.scale.unique()) == 2
    assert (first / "features.npy").stat().st_mtime_ns == written
    index, flip = views(both)
    order = torch.randperm(len(index))
    live = LiveInputs(model, both)(index[order], flip[order])
    torch.testing.assert_close(cached(index[order], flip[order]), live, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("factor", [1e-12, 1e9])
def test_features_too_small_or_large_for_16_bit_are_kept_to_the_same_precision(scenes, tmp_path, factor):
    model = make()
    with torch.no_grad():
        model.extractor[8].weight.mul_(factor)
        model.extractor[8].bias.mul_(factor)
    index, flip = views(scenes)
    live = LiveInputs(model, scenes)(index, flip)
    cached = create_inputs(model, scenes, tmp_path)(index, flip)
    assert live.abs().max() < 1e-9 or live.abs().max() > 1e6
    assert ((cached - live).abs().max() / live.abs().max()) < 1e-3


def test_features_that_are_not_finite_are_refused(scenes, tmp_path):
    model = make()
    with torch.no_grad():
        model.extractor[8].bias.fill_(torch.inf)
    with pytest.raises(UserError, match="not finite"):
        create_inputs(model, scenes, tmp_path)
    assert not [path for path in (tmp_path / "features").iterdir() if path.is_dir()]


def test_the_cache_is_computed_once_for_the_same_weights_cut_and_images(scenes, tmp_path, monkeypatch):
    other = make()
    with torch.no_grad():
        next(other.extractor.parameters()).mul_(1.01)
    fewer = Scenes(EvaluationDataset(name="mirrored", root="x", limit=6), 32, str(tmp_path), torch.device("cpu"))
    for model, images in ((make(), scenes), (other, scenes), (make(layer=-4), scenes), (make(), fewer),
                          (make(normalize=True), scenes)):
        create_inputs(model, images, tmp_path)
    assert len(list((tmp_path / "features").glob("mirrored-*"))) == 5
    monkeypatch.setattr("frozen.cache._compute", lambda *_: pytest.fail("computed again"))
    create_inputs(make(), scenes, tmp_path)


def test_features_under_drifting_statistics_are_not_cached_and_the_reason_is_said(scenes, tmp_path):
    model = make(batchnorm="reference")
    assert isinstance(create_inputs(model, scenes, tmp_path), LiveInputs)
    assert not (tmp_path / "features").exists()
    [reason] = uncached_because(model)
    assert "model.batchnorm 'reference'" in reason
    assert "\n" not in reason


@pytest.mark.parametrize(("extractor", "policy"), [("small_cnn", "frozen"), ("squeezenet1_1", "reference")])
def test_features_under_settled_statistics_are_cached(scenes, tmp_path, extractor, policy):
    model = make(batchnorm=policy, extractor=extractor)
    assert isinstance(create_inputs(model, scenes, tmp_path), CachedInputs)
    assert uncached_because(model) == ()


@pytest.mark.parametrize("dry", [False, True])
def test_too_little_room_is_said_before_anything_is_computed(scenes, tmp_path, monkeypatch, dry):
    monkeypatch.setattr("frozen.cache.shutil.disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"need 0.0 GiB in .*, 0.0 GiB are free"):
        create_inputs(make(), scenes, tmp_path, dry=dry)
    assert not [path for path in (tmp_path / "features").glob("*") if path.is_dir()]


def test_a_dry_run_says_how_long_features_will_take_unless_they_are_there(scenes, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("frozen.cache.WORTH_SAYING", -1)
    model = make()
    assert isinstance(create_inputs(model, scenes, tmp_path, dry=True), LiveInputs)
    assert f"features of {scenes.title}: {len(scenes.rows) * scenes.flips} views" in capsys.readouterr().err
    assert not (tmp_path / "features").exists()
    create_inputs(model, scenes, tmp_path)
    capsys.readouterr()
    create_inputs(model, scenes, tmp_path, dry=True)
    assert capsys.readouterr().err == ""


def test_models_that_see_changed_images_run_uncached(scenes, tmp_path):
    assert isinstance(create_inputs(make("conv"), scenes, tmp_path), LiveInputs)
    assert isinstance(create_inputs(make(), scenes, tmp_path, augment=True), LiveInputs)
    assert "training.augment" in uncached_because(make(), augment=True)[0]
    assert uncached_because(make("conv"), augment=True) == ()
    assert not (tmp_path / "features").exists()


def test_augmentation_changes_inputs_by_seed_and_keeps_their_range(scenes):
    index, flip = views(scenes)
    inputs = LiveInputs(None, scenes, augment=True)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(inputs(index, flip))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert draws[0].min() >= 0
    assert draws[0].max() <= 1


def test_augmentation_differs_from_image_to_image_in_mean_and_contrast():
    torch.manual_seed(0)
    ramp = torch.linspace(0.4, 0.6, 64).expand(200, 1, 64, 64)
    changed = photometric(ramp)
    means = changed.mean(dim=(1, 2, 3)).numpy()
    slopes = (changed[..., -8:].mean(dim=(1, 2, 3)) - changed[..., :8].mean(dim=(1, 2, 3))).numpy()
    plain = float(ramp[0, 0, 0, -8:].mean() - ramp[0, 0, 0, :8].mean())
    assert 0.3 - 0.01 < means.min() < 0.35 < 0.65 < means.max() < 0.7 + 0.01
    assert 0.75 < slopes.min() / plain < 0.9
    assert 1.1 < slopes.max() / plain < 1.25
    assert abs(np.corrcoef(means, slopes)[0, 1]) < 0.3
