"""Shapes, parameter counts and state-dict names, derived by hand from Tables S1 to S4."""

import numpy as np
import pytest
import torch

from autoencoder.config import Model
from errors import UserError
from model import check_fits, create_autoencoder


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
def test_conv_ae_vae_and_factor_vae_have_the_parameters_of_tables_s1_and_s2(size, channels, dimension):
    plain, vae, factor = (make(size, channels, type="conv", variation=name, dimension=dimension)
                          for name in ("ae", "vae", "factorvae"))
    grid = size // 16
    expected = decoder_parameters(dimension, grid, channels) + conv_encoder_parameters(dimension, grid, channels)
    # A VAE has a head more; the discriminator is FC d->1000, four of 1000->1000, FC 1000->2.
    head, discriminator = linear(256, dimension), linear(dimension, 1000) + 4 * linear(1000, 1000) + linear(1000, 2)
    assert count(plain) == expected
    assert count(vae) == expected + head
    assert count(factor) == expected + head + discriminator
    assert {count(model, trainable=False) for model in (plain, vae, factor)} == {0}


# Tensors below the cut, as published; channels after it (Tables S3 and S4).
@pytest.mark.parametrize(("name", "tensors", "features"), [("resnet50", 129, 1024), ("densenet121", 261, 1024),
                                                           ("vgg11", 14, 512)])
def test_extractor_ae_has_the_parameters_of_table_s4(name, tensors, features):
    model = make(extractor=name, dimension=64)
    assert count(model) == decoder_parameters(64, 8, 1) + extractor_encoder_parameters(64, features)
    assert len(list(model.extractor.parameters())) == tensors
    assert model.extract(torch.rand(1, 1, 128, 128)).shape == (1, features, 7, 7)


@pytest.mark.parametrize(("kind", "variation", "size", "channels"), [
    ("conv", "ae", 16, 1), ("conv", "ae", 48, 3), ("extractor", "ae", 32, 1), ("extractor", "ae", 112, 3),
    ("conv", "vae", 16, 1), ("conv", "vae", 48, 3), ("conv", "factorvae", 64, 3)])
def test_any_multiple_of_16_is_encoded_and_reconstructed_in_range(kind, variation, size, channels):
    with pytest.raises(UserError, match="multiples of 16"):
        make(size + 8, channels, type=kind, variation=variation)
    model = make(size, channels, type=kind, variation=variation, extractor="small_cnn", dimension=5)
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
    heads = {f"encoder_fc2{i}.{kind}" for i in (1, 2) for kind in ("weight", "bias")}
    discriminator = {f"discriminator.{i}.{kind}" for i in (0, 2, 4, 6, 8, 10) for kind in ("weight", "bias")}
    variational = decoder | heads | {name for name in encoder if not name.startswith("encoder.11.")}
    assert set(make(type="conv", variation="vae").state_dict()) == variational
    assert set(make(type="conv", variation="factorvae").state_dict()) == variational | discriminator
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


def variational():
    torch.manual_seed(0)
    return make(32, type="conv", variation="factorvae", dimension=6)


def test_mean_and_log_variance_come_from_heads_of_their_own(generator):
    model, images = variational(), torch.rand(3, 1, 32, 32, generator=generator)
    mean, log_variance = model.posterior(images)
    assert torch.equal(mean, model.encode(images))
    assert (mean - log_variance).abs().min() > 0
    with torch.no_grad():
        model.encoder_fc22.bias += 1
    moved_mean, moved_log_variance = model.posterior(images)
    assert torch.equal(moved_mean, mean)
    torch.testing.assert_close(moved_log_variance, log_variance + 1)


def test_latents_are_drawn_from_the_posterior_in_training_and_are_its_mean_in_evaluation(generator):
    model = variational()
    mean, log_variance = torch.randn(2, 4, 6, generator=generator).double()
    many = (200_000, 4, 6)
    drawn = model.train().sample(mean.expand(many), log_variance.expand(many))
    torch.testing.assert_close(drawn.mean(dim=0), mean, rtol=0, atol=0.03)
    torch.testing.assert_close(drawn.var(dim=0).log(), log_variance, rtol=0, atol=0.02)
    assert torch.equal(model.eval().sample(mean, log_variance), mean)
    images = torch.rand(3, 1, 32, 32, generator=generator)
    reconstruction, latents = model(images)
    assert torch.equal(latents, model.posterior(images)[0])
    assert torch.equal(reconstruction, model.decode(latents))


def test_the_discriminator_equals_the_plain_chain_of_layers(generator):
    """The layers of Table S2 written out; those of encoder and decoder are in test_published.py."""
    model, latents = variational(), torch.randn(3, 6, generator=generator)
    weights, logits = model.state_dict(), latents
    for i in (0, 2, 4, 6, 8, 10):
        logits = logits @ weights[f"discriminator.{i}.weight"].T + weights[f"discriminator.{i}.bias"]
        logits = logits if i == 10 else torch.where(logits > 0, logits, 0.2 * logits)
    torch.testing.assert_close(model.discriminator(latents), logits)


@pytest.mark.parametrize(("kind", "variation"), [("conv", "ae"), ("conv", "factorvae"), ("extractor", "tae")])
def test_weights_are_counted_before_they_are_made(monkeypatch, kind, variation):
    needed = []
    monkeypatch.setattr("model.check_memory", lambda size, what: needed.append(size))
    section = Model(type=kind, variation=variation, extractor="small_cnn", weights="none", dimension=24)
    state = torch.get_rng_state()
    check_fits(section, 96)
    assert torch.equal(torch.get_rng_state(), state)
    made = create_autoencoder(section, 96, channels=1)
    assert needed == [sum(parameter.numel() * 4 for parameter in made.parameters())]


@pytest.mark.parametrize(("dimension", "size", "needed"), [(10**12, 128, "2.1 PB"), (2**63 - 1, 128, "9.2 EB"),
                                                           (64, 160_000, "13.1 TB"), (64, 2**62, "9.2 EB")])
def test_a_model_beyond_all_memory_is_refused_in_numbers(dimension, size, needed):
    # By hand: two layers of 256 x dimension weights and two of 256 x 64 x (size / 16)^2, of 4 bytes each.
    with pytest.raises(UserError, match=rf"dimension = {dimension} .* = {size}: .* would need {needed} of memory"):
        check_fits(Model(type="conv", variation="ae", dimension=dimension), size)


def test_a_backbone_that_cannot_be_counted_before_it_is_made_is_taken_all_the_same():
    check_fits(Model(type="extractor", variation="ae", extractor="regnet_y_400mf", layer=-3, weights="none"), 64)


# What torch.nn's documentation lists as activations of one number, without parameters.
ELEMENTWISE = ("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid",
               "Mish", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign",
               "Tanh", "Tanhshrink")


@pytest.mark.parametrize("name", [*ELEMENTWISE, "relu", "leaky_relu", "elu", "gelu", "silu", "tanh"])
def test_an_activation_is_that_of_torch(name):
    model = make(16, type="conv", dimension=3, activation=name)
    [expected] = {each for each in ELEMENTWISE if each.lower() == name.replace("_", "").lower()}
    acts = [model.encoder[i] for i in (1, 3, 5, 7, 10)] + [model.decoder_fc[i] for i in (1, 3)]
    assert {type(act) for act in acts} == {getattr(torch.nn, expected)}
    model(torch.rand(2, 1, 16, 16))[0].sum().backward()


@pytest.mark.parametrize("name", ["GLU", "MultiheadAttention", "Softmax", "Softmax2d", "LogSoftmax", "Softmin", "PReLU",
                                  "Threshold", "Identity", "Dropout", "Linear", "functional", "relus"])
def test_what_is_no_elementwise_activation_is_refused_with_those_that_are(name):
    with pytest.raises(UserError) as caught:
        make(16, type="conv", activation=name)
    assert f"'{name.lower()}' is not known; allowed: celu, elu, gelu, hardshrink, " in str(caught.value)
    assert name != "relus" or "did you mean 'relu'" in str(caught.value)


def frozen_features(images, model):
    """Return the mean over each two by two positions of what the extractor makes of images, position by position."""
    maps = model.extractor(model.scale(images))
    rows, columns = maps.shape[2] // 2, maps.shape[3] // 2
    return torch.stack([torch.stack([maps[:, :, 2 * y:2 * y + 2, 2 * x:2 * x + 2].mean(dim=(2, 3))
                                     for x in range(columns)], dim=2) for y in range(rows)], dim=2)


@pytest.mark.parametrize("policy", ["frozen", "reference"])
def test_frozen_features_are_the_extractors_pooled_output(policy):
    images = torch.rand(3, 1, 64, 64)
    for kind, reduce in (("flat", lambda x: x.reshape(3, -1)), ("mean", lambda x: x.mean(dim=(2, 3)))):
        model = make(64, variation="features", extractor="small_cnn", features=kind, batchnorm=policy)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        latents = model.train().encode(model.extract(images))
        assert latents.shape == (3, model.dimension)
        torch.testing.assert_close(latents, reduce(frozen_features(images, model)))
        # So is what the trained head is given.
        head = make(64, extractor="small_cnn", variation="tae", batchnorm=policy)
        head.extractor.load_state_dict(model.extractor.state_dict())
        assert torch.equal(head.eval().extract(images), model.extract(images))
        assert not latents.requires_grad
        assert count(model) == 0
        assert not hasattr(model, "decode")
        assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_principal_components_are_those_of_the_singular_value_decomposition():
    model = make(64, variation="features", extractor="small_cnn", features="pca", dimension=3)
    assert {"center", "components"} <= model.state_dict().keys()
    rng = np.random.default_rng(0)
    # Four directions of clearly different weight, some noise, far from the origin.
    scales, size = np.array([40, 20, 10, 5]), len(model.center)
    train, test = (np.float32(rng.normal(0, scales, (40, 4)) @ basis + rng.normal(0, 0.01, (40, size)) + 7)
                   for basis in [np.linalg.qr(rng.normal(size=(size, 4)))[0].T] for _ in range(2))
    mean = train.astype(np.float64).mean(axis=0)
    _, _, directions = np.linalg.svd(train - mean, full_matrices=False)
    model.fit(train.copy())
    found = model.encode(torch.from_numpy(test)[:, :, None, None]).numpy()
    expected = (test - mean) @ directions[:3].T
    np.testing.assert_allclose(np.abs(found), np.abs(expected), rtol=1e-3, atol=1e-2)


def test_more_principal_components_than_there_can_be_are_refused():
    model = make(64, variation="features", extractor="small_cnn", features="pca", dimension=9)
    model.check(9)
    with pytest.raises(UserError, match=r"model.dimension: found 9, but 8 training features .* allowed: 1 to 8"):
        model.check(8)
    make(64, variation="features", extractor="small_cnn", features="flat", dimension=9).check(8)
