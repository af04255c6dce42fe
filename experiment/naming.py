"""What the paper's tables call the model of a config."""

from experiment.schema import Config

MODELS = {"ae": "AE", "tae": "TAE", "vae": "VAE", "factorvae": "FactorVAE"}
IMPOSSIBLE = {"none": "", "scene": "I-", "instance": "II-"}


def paper_name(config: Config) -> tuple[str, str]:
    """Return model and variant of an autoencoder as in Table S5, such as `E-AE`, `SSIM` and `β-VAE`, `BCE, β = 4`."""
    model, training = config.model, config.training
    beta = f", β = {training.kl_weight:g}" if training.kl_weight != 1 else ""
    name, variant = MODELS[model.variation], training.loss.upper()
    if model.variation == "vae":
        name, variant = ("β-" if beta else "") + name, variant + beta
    if model.variation == "factorvae":
        variant += f", γ = {training.tc_weight:g}{beta}"
    return f"{IMPOSSIBLE[training.impossible]}{'E-' if model.type == 'extractor' else ''}{name}", variant


def is_as_published(config: Config) -> bool:
    """Say whether networks, data and course of training are those of Table S5 (Tables S1 to S3)."""
    model, training = config.model, config.training
    course = (training.epochs, training.batch_size, config.dataset.limit, training.augment, training.impossible)
    if course != (100, 64, None, False, "none") or model.normalize or model.activation != "relu":
        return False
    extractor = (model.extractor, model.layer) == ("vgg11", -3) and model.weights != "none"
    return config.dataset.image_size == 64 and model.dimension == 10 and (model.type == "conv" or extractor)
