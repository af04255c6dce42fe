"""The networks of the swapping autoencoder: sizes, names and shapes of the published ones."""

import re

import pytest
import torch

from translation.swapping import Discriminator, Encoder, Generator, SwappingAutoencoder
from translation.swapping_config import SwappingModel

STYLED = ("conv.weight", "conv.modulation.weight", "conv.modulation.bias", "noise.weight", "activate.bias")
BLOCK = ("conv1.Conv.weight", "conv1.Act.bias", "conv2.Conv.weight", "conv2.Act.bias", "skip.Conv.weight")
BLURS = ("conv2.Blur.kernel", "skip.Blur.kernel")


def section(**changes):
    return SwappingModel(type="swapping", **changes)


def tiny(**changes):
    return section(**{"texture": 16, "downsamplings": 3, "texture_downsamplings": 1, "encoder_capacity": 1 / 16,
                      "generator_capacity": 1 / 32, "discriminator_capacity": 1 / 128, "patch_capacity": 1 / 64,
                      "patch_size": 16} | changes)


@pytest.fixture(scope="module")
def whole():
    with torch.device("meta"):
        return SwappingAutoencoder(section(), (256, 256), 16)


def count(network):
    return sum(weight.numel() for weight in network.parameters())


def test_the_networks_have_the_published_numbers_of_weights(whole):
    found = {name: round(count(getattr(whole, name)) / 1e6, 3) for name in ("E", "G", "D", "Dpatch")}
    assert found == {"E": 30.585, "G": 25.065, "D": 28.860, "Dpatch": 24.522}
    # 1.18 + 0.59 + 0.29 + 0.15 million of the convolutions.
    assert count(whole.I) == 9 * (512 * 256 + 256 * 256 + 256 * 128 + 128 * 128) + 2 * (256 + 128) + 128 * 16 + 16
    with torch.device("meta"):
        smaller = [count(Discriminator(section(discriminator_capacity=part), (256, 256))) for part in (0.5, 0.25)]
        smaller += [count(Generator(section(generator_capacity=part))) for part in (0.5, 0.25)]
        smaller += [count(Encoder(section(structure=32))), count(Generator(section(structure=32)))]
    assert [round(number / 1e6, 1) for number in smaller] == [24.0, 15.3, 8.5, 3.3, 30.6, 25.3]


def published_names():
    """Return the names in the published state dict."""
    names = ["num_discriminator_iters", "E.FromRGB.Conv.weight", "E.FromRGB.Act.bias", "E.ToSpatialCode.0.Conv.weight",
             "E.ToSpatialCode.0.Act.bias", "E.ToSpatialCode.1.Conv.weight", "E.ToSpatialCode.1.Conv.bias",
             "E.ToGlobalCode.0.weight", "E.ToGlobalCode.0.bias"]
    names += [f"E.DownToSpatialCode.ResBlockDownBy{i}.{each}" for i in (1, 2, 4, 8) for each in BLOCK + BLURS]
    names += [f"E.DownToGlobalCode.ConvLayerDownBy{i}.{each}" for i in (16, 32)
              for each in ("Blur.kernel", "Conv.weight", "Act.bias")]
    names += [f"G.SpatialCodeModulation.{each}.{kind}" for each in ("scale", "bias") for kind in ("weight", "bias")]
    blocks = [f"HeadResnetBlock{i}" for i in (0, 1)] + [f"UpsamplingResBlock{i}" for i in (16, 32, 64, 128)]
    names += [f"G.{block}.{conv}.{each}" for block in blocks for conv in ("conv1", "conv2") for each in STYLED]
    names += [f"G.HeadResnetBlock{i}.skip.Conv.weight" for i in (0, 1)]
    names += [f"G.UpsamplingResBlock{i}.conv1.conv.blur.kernel" for i in (16, 32, 64, 128)]
    names += [f"G.UpsamplingResBlock{i}.skip.{each}" for i in (64, 128) for each in ("Conv.weight", "Act.bias")]
    names += [f"G.ToRGB.{each}" for each in ("bias", "upsample.kernel", *STYLED[:3])]
    names += [f"D.stylegan2_D.{layer}.{each}" for layer in ("convs.0", "final_conv")
              for each in ("Conv.weight", "Act.bias")]
    names += [f"D.stylegan2_D.convs.{i}.{each}" for i in range(1, 7) for each in BLOCK + BLURS]
    names += [f"D.stylegan2_D.final_linear.{i}.{each}" for i in (0, 1) for each in ("weight", "bias")]
    names += [f"Dpatch.convs.{i}.{each}" for i in (0, 6) for each in ("Conv.weight", "Act.bias")]
    names += [f"Dpatch.convs.{i}.{each}" for i in ("128x128", 1, 2, 3, 4) for each in BLOCK + BLURS]
    names += [f"Dpatch.convs.5.{each}" for each in BLOCK]
    return names + [f"Dpatch.pairlinear.{i}.{each}" for i in range(4) for each in ("weight", "bias")]


def test_a_published_state_dict_has_the_same_names_and_shapes(whole):
    state = {name: value for name, value in whole.state_dict().items() if not name.startswith("I.")}
    assert set(state) == set(published_names())
    shapes = {
        "num_discriminator_iters": (1,), "E.FromRGB.Conv.weight": (32, 3, 1, 1),
        "E.ToSpatialCode.0.Conv.weight": (512, 512, 1, 1), "E.ToSpatialCode.1.Conv.weight": (8, 512, 1, 1),
        "E.DownToSpatialCode.ResBlockDownBy1.conv2.Blur.kernel": (3, 3),
        "E.DownToGlobalCode.ConvLayerDownBy16.Blur.kernel": (1, 1), "E.ToGlobalCode.0.weight": (2048, 2048),
        "G.SpatialCodeModulation.scale.weight": (8, 2048), "G.HeadResnetBlock0.conv1.conv.weight": (1, 256, 8, 3, 3),
        "G.UpsamplingResBlock64.conv1.conv.weight": (1, 256, 512, 3, 3), "G.ToRGB.bias": (1, 3, 1, 1),
        "G.UpsamplingResBlock16.conv1.conv.blur.kernel": (4, 4), "G.ToRGB.conv.weight": (1, 3, 128, 1, 1),
        "G.HeadResnetBlock0.conv1.noise.weight": (1,), "D.stylegan2_D.convs.0.Conv.weight": (128, 3, 1, 1),
        "D.stylegan2_D.convs.1.skip.Blur.kernel": (4, 4), "D.stylegan2_D.final_conv.Conv.weight": (512, 512, 3, 3),
        "D.stylegan2_D.final_linear.0.weight": (512, 8192), "Dpatch.convs.0.Conv.weight": (32, 3, 3, 3),
        "Dpatch.convs.6.Conv.weight": (384, 768, 3, 3), "Dpatch.pairlinear.0.weight": (2048, 3072),
        "Dpatch.pairlinear.2.weight": (1024, 2048), "Dpatch.pairlinear.3.weight": (1, 1024)}
    assert {name: tuple(state[name].shape) for name in shapes} == shapes
    with torch.device("meta"):
        wide = SwappingAutoencoder(section(), (512, 512)).state_dict()
    assert {re.sub(r"\d+\..*", "", name.removeprefix("D.stylegan2_D.convs.512x")) for name in wide
            if "512x" in name} == {""}


def test_codes_and_images_of_the_published_size(whole):
    images = torch.empty(2, 3, 256, 256, device="meta")
    structure, texture, hidden = whole.E(images)
    assert (structure.shape, texture.shape, hidden.shape) == ((2, 8, 16, 16), (2, 2048), (2, 512, 16, 16))
    noise = torch.empty(2, whole.G.noise_size(16, 16), device="meta")
    assert whole.G(structure, texture, noise).shape == (2, 3, 256, 256)
    assert whole.D(images).shape == (2,)
    features = whole.Dpatch.features(torch.empty(2, 8, 3, 128, 128, device="meta"))
    assert (features.shape, whole.Dpatch.compare(features, features).shape) == ((2, 8, 1536), (2, 8))
    assert whole.I(hidden).shape == (2, 16, 64, 64)
    structure, texture, _ = whole.E(torch.empty(1, 3, 256, 512, device="meta"))
    assert (structure.shape, texture.shape) == ((1, 8, 16, 32), (1, 2048))


def test_images_of_any_size_keep_it_and_come_out_the_same_again():
    torch.manual_seed(0)
    model = SwappingAutoencoder(tiny(), (32, 32)).eval()
    for weight in model.parameters():
        # New weights of noise are 0.
        weight.data += 0.1 * (weight.shape == (1,))
    with torch.no_grad():
        for size in ((32, 32), (37, 50), (64, 24)):
            images = torch.rand(3, 3, *size)
            structure, texture = model.codes(images)
            assert structure.shape[2:] == tuple(-(-side // 8) for side in size)
            for code in (structure, texture):
                assert torch.allclose(code.square().sum(dim=1), torch.ones(()), atol=1e-4)
            made = model.decode(structure, texture, size)
            assert made.shape == images.shape
            assert torch.allclose(model.decode(structure[1:2], texture[1:2], size), made[1:2], atol=1e-5)
            assert torch.equal(model.decode(structure, texture[:1], size)[0], model.decode(
                structure, texture[:1].expand(3, -1), size)[0])
            other = torch.randn(3, model.G.noise_size(*structure.shape[2:]))
            assert not torch.allclose(model.G(structure, texture, other)[:, :, : size[0], : size[1]].clamp(-1, 1), made)


def test_widths_and_crops_that_are_not_square_fit_together():
    torch.manual_seed(0)
    model = SwappingAutoencoder(tiny(inner="code"), (96, 64), classes=5, average=True)
    images = torch.rand(2, 3, 64, 96)
    structure, texture, _ = model.E(images)
    assert model.D(images).shape == (2,)
    assert model.I(structure).shape == (2, 5, 16, 24)
    assert model.G(structure, texture).shape == images.shape
    assert {name for name, _ in model.named_parameters() if name.startswith("averaged")} == set()
    state = model.state_dict()
    assert all(torch.equal(state[f"averaged.{name}"], value) for name, value in state.items()
               if name.startswith(("E.", "G.")))
