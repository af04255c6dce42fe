"""Shapes, parameter counts and state-dict names, derived by hand from Tables S1, S3 and S4."""

import pytest
import torch

from errors import UserError
from experiment.schema import Model
from model import create_autoencoder


def make(image_size=128, channels=1, **options):
    section = Model(**{"type": "extractor", "variation": "ae", "weights": "none", "extractor": "resnet18", **options})
    return create_autoencoder(section, image_size, channels)


def linear(inputs, outputs):
    return inputs * outputs + outputs


def conv(inputs, outputs, side=4):
    return inputs * outputs * side * side + outputs


def decoder_parameters(dimension, grid, channels):
    """FC d->256, FC 256->64*s*s, four transposed 4x4 convolutions with 64, 32, 32, C outputs."""
    return (linear(dimension, 256) + linear(256, 64 * grid**2)
            + conv(64, 64) + conv(64, 32) + conv(32, 32) + conv(32, channels))


def conv_encoder_parameters(dimension, grid, channels):
    """Four 4x4 convolutions with 32, 32, 64, 64 outputs, FC 64*s*s->256, FC 256->d."""
    return (conv(channels, 32) + conv(32, 32) + conv(32, 64) + conv(64, 64)
            + linear(64 * grid**2, 256) + linear(256, dimension))


def extractor_encoder_parameters(dimension, features):
    """Conv 4x4 to 256 on 7x7 pooled features gives 4x4; FC 4096->256, FC 256->d."""
    return conv(features, 256) + linear(256 * 4 * 4, 256) + linear(256, dimension)


def count(model, trainable=True):
    return sum(p.numel() for p in model.parameters() if p.requires_grad == trainable)


@pytest.mark.parametrize(("size", "channels", "dimension"), [(128, 1, 64), (64, 3, 10)])
def test_conv_ae_has_the_parameters_of_table_s1(size, channels, dimension):
    model = make(size, channels, type="conv", dimension=dimension)
    expected = decoder_parameters(dimension, size // 16, channels) + conv_encoder_parameters(
        dimension, size // 16, channels)
    assert count(model) == expected
    assert count(model, trainable=False) == 0


# Tensors below the cut, as published; channels after it (Tables S3 and S4).
@pytest.mark.parametrize(("name", "tensors", "features"), [("resnet50", 129, 1024), ("densenet121", 261, 1024),
                                                           ("vgg11", 14, 512)])
def test_extractor_ae_has_the_parameters_of_table_s4(name, tensors, features):
    model = make(extractor=name, dimension=64)
    assert count(model) == decoder_parameters(64, 8, 1) + extractor_encoder_parameters(64, features)
    assert len(list(model.extractor.parameters())) == tensors
    assert model.extract(torch.rand(1, 1, 128, 128)).shape == (1, features, 7, 7)


@pytest.mark.parametrize(("kind", "size", "channels"), [("conv", 16, 1), ("conv", 48, 3), ("extractor", 32, 1),
                                                        ("extractor", 112, 3)])
def test_any_multiple_of_16_is_encoded_and_reconstructed_in_range(kind, size, channels):
    model = make(size, channels, type=kind, extractor="small_cnn", dimension=5)
    images, latents = model(torch.rand(2, channels, size, size))
    assert images.shape == (2, channels, size, size)
    assert latents.shape == (2, 5)
    assert images.min() > 0
    assert images.max() < 1


def test_state_dicts_carry_the_published_names():
    decoder = {f"decoder_fc.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")}
    decoder |= {f"decoder_conv.{i}.{kind}" for i in (0, 2, 4, 6) for kind in ("weight", "bias")}
    encoder = {f"encoder.{i}.{kind}" for i in (0, 2, 4, 6, 9, 11) for kind in ("weight", "bias")}
    assert set(make(type="conv").state_dict()) == decoder | encoder
    head = {f"{name}.{kind}" for name in ("conv.1", "encoder.2", "encoder.4") for kind in ("weight", "bias")}
    names = set(make().state_dict())
    assert {name for name in names if not name.startswith("extractor.")} == decoder | head
    assert {"extractor.0.weight", "extractor.4.0.conv1.weight"} <= names


def test_the_extractor_stays_frozen_through_training_steps(generator):
    model = make(64, extractor="small_cnn")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    for _ in range(3):
        images = torch.rand(4, 1, 64, 64, generator=generator)
        reconstruction, _ = model(images)
        optimizer.zero_grad()
        ((reconstruction - images) ** 2).mean().backward()
        optimizer.step()
    after = model.state_dict()
    frozen = [key for key in before if key.startswith("extractor.")]
    assert any("running_mean" in key for key in frozen)
    assert all(torch.equal(before[key], after[key]) for key in frozen)
    assert not any(torch.equal(before[key], after[key]) for key in before if key.startswith(("conv.", "decoder")))
    assert not any(module.training for module in model.extractor.modules())


def test_decoder_equals_the_plain_chain_of_layers(generator):
    """The layers of Table S1 written out with torch's functions."""
    model = make(32, type="conv", dimension=6)
    latents = torch.randn(3, 6, generator=generator)
    weights = model.state_dict()

    def fc(x, name):
        return torch.relu(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])

    x = fc(fc(latents, "decoder_fc.0"), "decoder_fc.2").reshape(3, 64, 2, 2)
    for i in (0, 2, 4, 6):
        x = torch.nn.functional.conv_transpose2d(
            x, weights[f"decoder_conv.{i}.weight"], weights[f"decoder_conv.{i}.bias"], stride=2, padding=1)
        x = torch.sigmoid(x) if i == 6 else torch.relu(x)
    torch.testing.assert_close(model.decode(latents), x)


def test_a_size_that_is_no_multiple_of_16_is_refused():
    with pytest.raises(UserError, match="multiples of 16"):
        make(40)

