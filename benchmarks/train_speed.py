"""Sceneries per second in training, for every model and extractor, beside a plain baseline; with the floor of a step.

Data are drawn stand-ins of SVIRO-NoCar at 128x128, weights random: neither changes what the work costs. Ours is what
train_ae.py and train_classifier.py do within an epoch, frozen features cached where the model can use that; plain is
`benchmarks/plain.py`. The two alternate in one process, figures are medians. The floor is the time for the operations
of a step (as torch counts them) and the bytes of its images and features, at the speed that this machine reaches in
one large convolution or copy (`benchmarks/floor.py`).
"""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import torch
from lightning_fabric import Fabric
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import floor
from benchmarks.common import FLOOR_COLUMNS, alternate, print_table, row, write_json
from benchmarks.plain import PlainSamples, make_plain, plain_batches
from dataset import Batch, Batches, Scenes
from errors import choice_error, run_script
from experiment.schema import Config, load_config
from model import create_autoencoder
from pretrained_model import build_classifier
from readers.standin.write import write_standin
from training.command import PRECISIONS
from training.features import CachedInputs, LiveInputs, create_inputs
from training.steps import ClassifierStep, SingleOptimizerStep, create_step
from utils import tune

CFG = Path(__file__).parent.parent / "cfg"
EXTRACTORS = ("vgg11", "resnet50", "densenet121")
# Models without an extractor are no row of Table S6; they train on the same images.
CONVOLUTIONAL = {"ae": "ssim", "tae": "ssim", "vae": "bce", "factorvae": "bce"}
WITH_EXTRACTOR = ("e_ae", "e_tae", "i_e_tae", "ii_e_tae", "scratch", "pretrained")
VARIANTS = 2


def main() -> None:
    arguments = parse()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    tune(device)
    fabric = Fabric(accelerator=device.type, devices=1, precision=PRECISIONS[arguments.precision])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_standin("sviro_nocar", folder, sceneries=arguments.sceneries, variants=VARIANTS)
        for title, path, overrides in wanted(arguments.models, arguments.extractors):
            config = load_config(path, [f"dataset.root={folder}", f"dataset.cache={folder}/cache", *overrides,
                                        "model.weights=none", f"training.batch_size={arguments.batch}"], seed=1)
            rows.append(measure(title, config, Path(folder), fabric, arguments))
            print_rows(rows[-1:], titles=len(rows) == 1)
    print(f"{floor.describe(device)}, {arguments.precision} bit, batches of {arguments.batch}, plain of "
          f"{arguments.plain_batch}")
    write_json(arguments.out, {"device": floor.describe(device), "precision": arguments.precision, "rows": rows})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = [*CONVOLUTIONAL, *WITH_EXTRACTOR]
    parser.add_argument("--models", nargs="+", default=models, metavar="MODEL", help=f"any of {', '.join(models)}")
    parser.add_argument("--extractors", nargs="+", choices=EXTRACTORS, default=EXTRACTORS)
    parser.add_argument("--sceneries", type=int, default=128, help="of the stand-in (default: 128)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--plain-batch", type=int, default=16, help="of the plain side, whose steps take long")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="32")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    for model in arguments.models:
        if model not in models:
            raise choice_error("--models", model, models)
    return arguments


def wanted(models: list[str], extractors: list[str]) -> Iterator[tuple[str, Path, list[str]]]:
    """Yield title, config file and overrides of what is to be measured."""
    for model in models:
        if model in CONVOLUTIONAL:
            yield model, CFG / "nocar_vgg11_e_ae.toml", [
                "model.type=conv", f"model.variation={model}", f"training.loss={CONVOLUTIONAL[model]}",
                *(["training.tc_weight=10"] if model == "factorvae" else [])]
            continue
        for extractor in extractors:
            yield f"{model} {extractor}", CFG / f"nocar_{extractor}_{model}.toml", []


def measure(title: str, config: Config, folder: Path, fabric: Fabric, arguments: argparse.Namespace) -> dict:
    """Return sceneries per second of both sides, their ratio, and how near ours comes to its floor."""
    scenes = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, fabric.device)
    step, batches, cached = ours(config, scenes, fabric)
    plain_step, _, _ = ours(config, scenes, fabric)
    plain = make_plain(plain_step, config, fabric)
    samples = PlainSamples(write_files(scenes, folder), scenes.labels, VARIANTS, batches.triplet,
                           config.training.impossible)
    if not len(scenes) >= arguments.batch >= arguments.plain_batch:
        raise SystemExit("--sceneries must not be less than --batch, nor that less than --plain-batch")
    classifier = isinstance(step, ClassifierStep)
    extract = (lambda images: images) if classifier else plain.model.extract
    sides = [stepping(step, forever(batches)),
             stepping(plain, plain_batches(samples, arguments.plain_batch, extract, batches.second, fabric.device))]
    dtype = torch.bfloat16 if arguments.precision == "bf16" else torch.float32
    (fast, slow), ceilings = alternate(sides, arguments.rounds, fabric.device, dtype, title)
    batch = next(forever(batches))
    with FlopCounterMode(display=False) as counter:
        step.update(batch)
    moved = sum(part.numel() * size for part, size in ((batch.inputs, 2 if cached else 1), (batch.targets, 1))
                if part is not None)
    per = [fast / arguments.batch, slow / arguments.plain_batch]
    figures = row(title, per, counter.get_total_flops() / arguments.batch, moved / arguments.batch, ceilings)
    return {**figures, "cached": "yes" if cached else "no", "ours_per_s": 1 / per[0], "plain_per_s": 1 / per[1]}


def ours(config: Config, scenes: Scenes, fabric: Fabric) -> tuple[SingleOptimizerStep, Batches, bool]:
    """Return step and batches as the training scripts make them, and whether frozen features are cached."""
    training = config.training
    if config.model.type == "classifier":
        batches = Batches(scenes, LiveInputs(None, scenes), training.batch_size, training.seed, reconstruct=False)
        model = build_classifier(config.model, len(batches.pairing.classes)).to(fabric.device)
        return ClassifierStep(model, training, fabric), batches, False
    torch.manual_seed(0)
    model = create_autoencoder(config.model, config.dataset.image_size, scenes.channels).to(fabric.device)
    inputs = create_inputs(model, scenes, config.dataset.cache)
    batches = Batches(scenes, inputs, training.batch_size, training.seed, triplet=config.model.variation == "tae",
                      impossible=training.impossible, second=config.model.variation == "factorvae")
    return create_step(config.model.variation, model, training, fabric), batches, isinstance(inputs, CachedInputs)


def write_files(scenes: Scenes, folder: Path) -> Path:
    """Write the prepared images as files for the plain side, once."""
    files = folder / "files"
    if not files.exists():
        files.mkdir()
        for i, image in enumerate(scenes.images[:, 0].cpu().numpy()):
            Image.fromarray(image).save(files / f"{i // VARIANTS}_{i % VARIANTS}.png")
    return files


def forever(batches: Batches) -> Iterator[Batch]:
    """Yield batches of full size, epoch after epoch."""
    for number in count():
        yield from islice(batches.epoch(number), len(batches.scenes) // batches.batch_size)


def stepping(step: SingleOptimizerStep, batches: Iterator[Batch]):
    step.model.train()
    return lambda: step.update(next(batches))


def print_rows(rows: list[dict], titles: bool) -> None:
    columns = (("model", "work", "{}", 1), ("cached", "cached", "{}", 1), ("ours, 1/s", "ours_per_s", "{:.1f}", 1),
               ("plain, 1/s", "plain_per_s", "{:.2f}", 1), ("ratio", "ratio", "{:.1f}", 1), *FLOOR_COLUMNS)
    print_table(columns, rows, titles)


if __name__ == "__main__":
    run_script(main)
