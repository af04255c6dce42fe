"""Sceneries per second in training, for every model and extractor, beside a plain baseline.

Data are drawn stand-ins of SVIRO-NoCar at 128x128, weights random: neither changes what the work costs. Ours is what
train_ae.py and train_classifier.py do within an epoch, frozen features cached where the model can use that; plain is
`benchmarks/plain.py`. Each has a process of its own, they take turns, figures are medians.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from lightning_fabric import Fabric
from PIL import Image
from tqdm import tqdm

from autoencoder.step import create_step
from benchmarks.common import describe, print_table, seconds, write_json
from benchmarks.plain import PlainSamples, make_plain, plain_batches
from classifier.step import ClassifierStep
from dataset import Batch, Batches, Scenes
from errors import choice_error, run_script
from experiment.checkpoint import save
from experiment.config import Config, load_config
from frozen.inputs import CachedInputs, LiveInputs, create_inputs
from model import create_autoencoder
from pretrained_model import build_classifier, build_network
from standin.write import write_standin
from training.command import PRECISIONS, create_fabric
from training.optimising import SingleOptimizerStep
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
    fabric = create_fabric(device, arguments.precision)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_standin("sviro_nocar", folder, sceneries=arguments.sceneries, variants=VARIANTS)
        for title, path, overrides in wanted(arguments.models, arguments.extractors, Path(folder)):
            config = load_config(path, [f"dataset.root={folder}", f"dataset.cache={folder}/cache", *overrides,
                                        f"training.batch_size={arguments.batch}"], seed=1)
            rows.append(measure(title, config, Path(folder), fabric, arguments))
            print_rows(rows[-1:], titles=len(rows) == 1)
    print(f"{describe(device)}, {arguments.precision} bit, batches of {arguments.batch}")
    write_json(arguments.out, {"device": describe(device), "precision": arguments.precision, "rows": rows})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models = [*CONVOLUTIONAL, *WITH_EXTRACTOR]
    parser.add_argument("--models", nargs="+", default=models, metavar="MODEL", help=f"any of {', '.join(models)}")
    parser.add_argument("--extractors", nargs="+", choices=EXTRACTORS, default=EXTRACTORS)
    parser.add_argument("--sceneries", type=int, default=128, help="of the stand-in (default: 128)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the CPU (default: torch's choice)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="32")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    if arguments.sceneries < arguments.batch:
        parser.error("--sceneries must not be less than --batch")
    for model in arguments.models:
        if model not in models:
            raise choice_error("--models", model, models)
    return arguments


def wanted(models: list[str], extractors: list[str], folder: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Yield title, config file and overrides of what is to be measured, all with random weights."""
    for model in models:
        if model in CONVOLUTIONAL:
            yield model, CFG / "nocar_vgg11_e_ae.toml", [
                "model.type=conv", f"model.variation={model}", f"training.loss={CONVOLUTIONAL[model]}",
                "model.weights=none", *(["training.tc_weight=10"] if model == "factorvae" else [])]
            continue
        for extractor in extractors:
            weights = "none"
            if model == "pretrained":
                # Freezing random weights is refused, unless they come from a file.
                weights = str(folder / f"{extractor}.pth")
                save(build_network(extractor, num_classes=1000).state_dict(), Path(weights))
            yield f"{model} {extractor}", CFG / f"nocar_{extractor}_{model}.toml", [f"model.weights={weights}"]


def measure(title: str, config: Config, folder: Path, fabric: Fabric, arguments: argparse.Namespace) -> dict:
    """Return sceneries per second of both sides and their ratio."""
    scenes = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, fabric.device)
    step, batches, cached = ours(config, scenes, fabric)
    step.model.train()
    endless = forever(batches)
    times = []
    with plain_process(config, write_files(scenes, folder), arguments) as plain_step:
        sides = (lambda: step.update(next(endless)), plain_step)
        for _ in tqdm(range(arguments.rounds + 1), desc=title, disable=None):
            times.append([seconds(side, fabric.device) for side in sides])
    # The first round warms up.
    fast, plain = (arguments.batch / statistics.median(spent) for spent in zip(*times[1:], strict=True))
    return {"work": title, "cached": "yes" if cached else "no", "ours_per_s": fast, "plain_per_s": plain,
            "ratio": fast / plain}


@contextmanager
def plain_process(config: Config, files: Path, arguments: argparse.Namespace) -> Iterator[Callable[[], object]]:
    """Start the plain side and yield what has it take one step; it ends with the context."""
    context = get_context("spawn")
    here, there = context.Pipe()
    options = (arguments.device, arguments.precision, torch.get_num_threads())
    process = context.Process(target=serve_plain, args=(there, config, files, *options), daemon=True)
    process.start()
    there.close()

    def step() -> object:
        here.send("step")
        return here.recv()

    try:
        yield step
    finally:
        process.terminate()
        process.join()


def serve_plain(connection: Connection, config: Config, files: Path, device: str, precision: str, threads: int) -> None:
    """Take a step of the plain side whenever the connection asks for one."""
    torch.set_num_threads(threads)
    fabric = create_fabric(torch.device(device), precision)
    scenes = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, fabric.device)
    step, batches, _ = ours(config, scenes, fabric)
    plain = make_plain(step, config, fabric)
    samples = PlainSamples(files, scenes.labels, VARIANTS, batches.triplet, batches.impossible)
    extract = (lambda images: images) if isinstance(step, ClassifierStep) else plain.model.extract
    endless = plain_batches(samples, batches.batch_size, extract, batches.second, fabric.device)
    plain.model.train()
    while connection.recv():
        plain.update(next(endless))
        if fabric.device.type == "cuda":
            torch.cuda.synchronize(fabric.device)
        connection.send("done")


def ours(config: Config, scenes: Scenes, fabric: Fabric) -> tuple[SingleOptimizerStep, Batches, bool]:
    """Return step and batches as the training scripts make them, and whether frozen features are cached."""
    training = config.training
    if config.model.type == "classifier":
        batches = Batches(scenes, LiveInputs(None, scenes), training.batch_size, training.seed, reconstruct=False)
        model = build_classifier(config.model, len(batches.pairing.class_labels)).to(fabric.device)
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


def print_rows(rows: list[dict], titles: bool) -> None:
    columns = (("model", "work", "{}", 1), ("cached", "cached", "{}", 1), ("ours, 1/s", "ours_per_s", "{:.1f}", 1),
               ("plain, 1/s", "plain_per_s", "{:.2f}", 1), ("ratio", "ratio", "{:.1f}", 1))
    print_table(columns, rows, titles)


if __name__ == "__main__":
    run_script(main)
