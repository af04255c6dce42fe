"""Sceneries per second in training, for every model and extractor, beside a plain baseline.

Data are drawn stand-ins of SVIRO-NoCar at 128x128, and of Cityscapes at 256x128, of which 128x128 are cut out; weights
are random: neither changes what the work costs. Ours is what the training scripts do within an epoch, frozen features
cached where the model can use that; plain is `benchmarks/plain.py`. Of segmentation, evaluation has rows too, on whole
images. Each side has a process of its own, they take turns, speeds are medians; memory is the process's peak. With
`--precision bf16` the plain CycleGAN stays in 32 bits.
"""

import argparse
import resource
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import partial
from itertools import count, cycle, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from autoencoder.step import create_step
from benchmarks import plain_swapping
from benchmarks.common import describe, print_row, seconds, write_json
from benchmarks.plain import PlainSamples, PlainStreets, make_plain, plain_batches, plain_confusion, plain_crops
from benchmarks.plain_shape_pose import PlainShapePoseStep
from benchmarks.plain_translation import PlainCycleGan
from classifier.step import ClassifierStep
from dataset import Batches, Scenes
from errors import choice_error, run_script
from experiment.config import Config, load_config
from frozen.inputs import LiveInputs, create_inputs
from model import create_autoencoder
from pretrained_model import build_classifier
from segmentation.data import Crops, Frames
from segmentation.deeplab import create_deeplab
from segmentation.judge import confusion_of
from segmentation.step import SegmentationStep
from shape_pose import config as of_shapes
from shape_pose import data as shapes
from shape_pose.step import ShapePoseStep, create_network
from standin import write_standin
from training.command import PRECISIONS, create_fabric
from training.fabric import Fabric
from training.optimising import SingleOptimizerStep
from translation.config import CycleGanModel, CycleGanTraining
from translation.cyclegan import CycleGan
from translation.cyclegan_step import CycleGanStep
from translation.data import Batch
from translation.swapping import SwappingAutoencoder
from translation.swapping_config import SwappingModel, SwappingTraining
from translation.swapping_step import SwappingStep
from utils import tune

CFG = Path(__file__).parent.parent / "cfg"
VARIANTS = 2
# Of street scenes: how many there are (two thirds are used), and at most in a batch; width and height of images, crops.
STREETS, STREET_BATCH, STREET_SIZES = 96, 8, ["dataset.image_size=[256, 128]", "training.crop=[128, 128]"]
# Starts a side of a row: every item that comes of it is a step of training, or an evaluation.
Side = Callable[[], Iterator[object]]


class Setting(NamedTuple):
    """What all rows share: a folder with the stand-in, and how to train on it."""

    folder: Path
    batch: int
    device: torch.device
    precision: str


# A row: returns our side and the plain one, of which a process starts one, and how many samples an item is.
Row = Callable[[Setting], tuple[Side, Side, int]]


def autoencoder(name: str, overrides: list[str], setting: Setting) -> tuple[Side, Side, int]:
    """Return our side and the plain one of an autoencoder: a config's name, and what is changed in it."""
    config, scenes, fabric = opened(name, overrides, setting)
    variation = config.model.variation
    torch.manual_seed(0)
    model = create_autoencoder(config.model, config.dataset.image_size, scenes.channels).to(fabric.device)
    batches = Batches(scenes, create_inputs(model, scenes, config.dataset.cache), setting.batch, 1,
                      triplet=variation == "tae", impossible=config.training.impossible,
                      second=variation == "factorvae")
    return sides(create_step(variation, model, config.training, fabric), batches, model.extract, config, setting)


def classifier(name: str, overrides: list[str], setting: Setting) -> tuple[Side, Side, int]:
    """Return our side and the plain one of a classifier."""
    config, scenes, fabric = opened(name, overrides, setting)
    batches = Batches(scenes, LiveInputs(None, scenes), setting.batch, 1, reconstruct=False)
    model = build_classifier(config.model, len(batches.pairing.class_labels)).to(fabric.device)
    step = ClassifierStep(model, config.training, fabric)
    return sides(step, batches, lambda images: images, config, setting)


def sides(step: SingleOptimizerStep, batches: Batches, extract: Callable[[Tensor], Tensor], config: Config,
          setting: Setting) -> tuple[Side, Side, int]:
    """Return both sides of a step and its batches; `extract` is the frozen part of the network."""
    step.model.train()

    def ours() -> Iterator[object]:
        for number in count():
            yield from map(step.update, islice(batches.epoch(number), len(batches.scenes) // setting.batch))

    def plain() -> Iterator[object]:
        samples = PlainSamples(write_files(batches.scenes, setting.folder / "files"), batches.scenes.labels, VARIANTS,
                               batches.triplet, batches.impossible)
        make_plain(step, config)
        return map(step.update, plain_batches(samples, setting.batch, extract, batches.second, setting.device))

    return ours, plain, setting.batch


def segmentation(backbone: str, evaluation: bool, setting: Setting) -> tuple[Side, Side, int]:
    """Return our side and the plain one of training a segmentation network, or of evaluating it on all images."""
    if not (setting.folder / "cityscapes").exists():
        write_standin("cityscapes", setting.folder, sceneries=STREETS)
    batch = min(setting.batch, STREET_BATCH)
    config = configured("cityscapes_mobilenet", [f"model.backbone={backbone}", f"training.batch_size={batch}",
                                                 *STREET_SIZES], setting)
    fabric = create_fabric(setting.device, setting.precision)
    frames = Frames(config.dataset, config.dataset.classes, config.dataset.cache, fabric.device)
    torch.manual_seed(0)
    model = create_deeplab(config.model, len(frames.classes)).to(fabric.device).train(not evaluation)
    crops = Crops(frames, config.training)
    step = SegmentationStep(model, config.training, fabric, len(crops))

    def ours() -> Iterator[object]:
        for number in count(1):
            yield from [confusion_of(model, frames)] if evaluation else map(step.update, crops.epoch(number))

    def plain() -> Iterator[object]:
        make_plain(step, config)
        streets = PlainStreets(write_streets(frames, setting.folder / "streets"), None if evaluation else
                               config.training)
        if not evaluation:
            return map(step.update, plain_crops(streets, batch, setting.device))
        return (plain_confusion(model, streets, len(frames.classes), setting.device) for _ in count())

    return ours, plain, len(frames) if evaluation else batch


def cyclegan(size: int, channels: int, batch: int, changes: dict, setting: Setting) -> tuple[Side, Side, int]:
    """Return our side and the plain one of a CycleGAN, on batches of noise."""
    fabric = create_fabric(setting.device, setting.precision)
    torch.manual_seed(0)
    model = CycleGan(channels, CycleGanModel(type="cyclegan", **changes)).to(fabric.device)
    section = CycleGanTraining(epochs=1, batch_size=batch)
    pairs = [Batch(*(torch.rand(batch, channels, size, size, device=fabric.device) * 2 - 1 for _ in range(2)))
             for _ in range(4)]

    def ours() -> Iterator[object]:
        return map(CycleGanStep(model, section, "none", None, pairs[0].source.shape[1:], fabric).update, cycle(pairs))

    return ours, lambda: map(PlainCycleGan(model, section).update, cycle(pairs)), batch


def swapping(size: int, batch: int, setting: Setting) -> tuple[Side, Side, int]:
    """Return our side and the plain one of a swapping autoencoder, on batches of noise; an item is a step of each part.

    size: of square crops; up to 64 with the small networks of a config, from 256 on with the published ones.
    """
    small = {"texture_downsamplings": 1, "encoder_capacity": 0.25, "generator_capacity": 0.25,
             "discriminator_capacity": 0.125, "patch_capacity": 0.25, "patch_size": size // 2}
    section = (load_config(CFG / "town07_camvid_small_out0.toml").model if size <= 64 else
               SwappingModel(type="swapping", **(small if size < 256 else {})))
    fabric = create_fabric(setting.device, setting.precision)
    torch.manual_seed(0)
    step = SwappingStep(SwappingAutoencoder(section, (size, size)).to(fabric.device), SwappingTraining(
        epochs=1, batch_size=batch, compile=setting.device.type == "cuda"), section.patch_size, None, fabric, 1)
    pairs = [Batch(*((torch.rand(batch, 3, size, size, device=fabric.device) * 2 - 1).contiguous(
        memory_format=torch.channels_last) for _ in range(2))) for _ in range(4)]

    def items() -> Iterator[object]:
        batches = cycle(pairs)
        return (step.update(next(batches)) | step.update(next(batches)) for _ in count())

    def plain() -> Iterator[object]:
        plain_swapping.make_plain(step)
        for pair in pairs:
            pair.source, pair.target = pair.source.contiguous(), pair.target.contiguous()
        return items()

    return items, plain, 2 * batch


def point_cloud(size: int, model: dict, training: dict, setting: Setting) -> tuple[Side, Side, int]:
    """Return our side and the plain one of shape and pose, half way through training, on batches of noise."""
    fabric = create_fabric(setting.device, setting.precision)
    torch.manual_seed(0)
    section = of_shapes.Model(type="point_cloud", **model)
    network = create_network(section, size).to(fabric.device)
    how = of_shapes.Training(epochs=2, **training)
    views = how.batch_size * how.views_per_model
    batches = [shapes.Batch(torch.rand(views, 3, size, size, device=fabric.device),
                            (torch.rand(views, section.grid, section.grid, device=fabric.device) > 0.8).float(),
                            how.views_per_model) for _ in range(4)]

    def side(kind: type[ShapePoseStep]) -> Iterator[object]:
        step = kind(network, how, section, fabric, 300_000)
        step.begin(2)
        return map(step.update, cycle(batches))

    return partial(side, ShapePoseStep), partial(side, PlainShapePoseStep), views


def rows() -> dict[str, Row]:
    """Return what can be measured, by name; another system adds its rows here."""
    found = {}
    # Models without an extractor are no row of Table S6; they train on the same images.
    for model, loss in {"ae": "ssim", "tae": "ssim", "vae": "bce", "factorvae": "bce"}.items():
        weight = ["training.tc_weight=10"] if model == "factorvae" else []
        found[model] = partial(autoencoder, "nocar_vgg11_e_ae", [
            "model.type=conv", f"model.variation={model}", f"training.loss={loss}", *weight])
    for model in ("e_ae", "e_tae", "i_e_tae", "ii_e_tae", "scratch", "pretrained"):
        for extractor in ("vgg11", "resnet50", "densenet121"):
            build = classifier if model in ("scratch", "pretrained") else autoencoder
            found[f"{model}_{extractor}"] = partial(build, f"nocar_{extractor}_{model}", [])
    for backbone in ("mobilenet_v2", "efficientnet_lite0"):
        found[f"deeplab_{backbone}"] = partial(segmentation, backbone, False)
        found[f"deeplab_{backbone}_evaluation"] = partial(segmentation, backbone, True)
    for size, channels, batch, changes in ((16, 1, 32, {"width": 16, "blocks": 3, "layers": 1}),
                                           (128, 3, 4, {"width": 32, "blocks": 6}), (256, 3, 1, {})):
        found[f"cyclegan_{size}"] = partial(cyclegan, size, channels, batch, changes)
    for size, batch in ((64, 4), (128, 4), (256, 8)):
        found[f"swapping_{size}"] = partial(swapping, size, batch)
    found["point_cloud_64"] = partial(point_cloud, 128, {}, {})
    found["point_cloud_32"] = partial(point_cloud, 64, {"grid": 32, "points": 1500, "width": 256},
                                      {"sigma": (1.5, 0.2), "taps": 11})
    return found


def main() -> None:
    arguments, known = parse(), rows()
    for wish in arguments.rows:
        if not any(fnmatchcase(name, wish) for name in known):
            raise choice_error("ROW", wish, known)
    device, figures = torch.device(arguments.device), []
    print_row("model", "ours, 1/s", "plain, 1/s", "ratio", "ours, GiB", "plain, GiB")
    print_row("---", *["---:"] * 5)
    with tempfile.TemporaryDirectory() as folder:
        write_standin("sviro_nocar", folder, sceneries=arguments.sceneries, variants=VARIANTS)
        setting = Setting(Path(folder), arguments.batch, device, arguments.precision)
        for name in (name for name in known if any(fnmatchcase(name, wish) for wish in arguments.rows)):
            (fast, plain), peaks = measure(name, known[name], setting, arguments.rounds)
            print_row(name, f"{fast:.1f}", f"{plain:.2f}", f"{fast / plain:.2f}", *(f"{peak:.2f}" for peak in peaks))
            figures.append({"row": name, "ours_per_s": fast, "plain_per_s": plain, "ratio": fast / plain,
                            "ours_gib": peaks[0], "plain_gib": peaks[1]})
    print(f"{describe(device)}, precision {arguments.precision}, batches of {arguments.batch}")
    write_json(arguments.out, {"device": describe(device), "precision": arguments.precision, "rows": figures})


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=["*"], metavar="ROW",
                        help=f"* and ? stand for anything; all by default: {', '.join(rows())}")
    parser.add_argument("--sceneries", type=int, default=128, help="of the stand-in (default: 128)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--precision", choices=PRECISIONS, default="32")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON")
    arguments = parser.parse_args()
    if arguments.sceneries < arguments.batch:
        parser.error("--sceneries must not be less than --batch")
    return arguments


def measure(name: str, row: Row, setting: Setting, rounds: int) -> tuple[list[float], list[float]]:
    """Return the samples per second of our side and of the plain one, and their peak memory in GiB."""
    times = []
    with side_process(row, setting, "ours") as ours, side_process(row, setting, "plain") as plain:
        for _ in tqdm(range(rounds + 1), desc=name, disable=None):
            times.append([side("step") for side in (ours, plain)])
        samples, peaks = ours("samples"), [side("peak") for side in (ours, plain)]
    # The first round warms up.
    return [samples / statistics.median(spent) for spent in zip(*times[1:], strict=True)], peaks


@contextmanager
def side_process(row: Row, setting: Setting, which: str) -> Iterator[Callable[[str], float]]:
    """Start a side in a process and yield what asks it for something, see `serve`; it ends with the context."""
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, row, setting, which), daemon=True)
    process.start()
    there.close()

    def ask(what: str) -> float:
        here.send(what)
        return here.recv()

    try:
        yield ask
    finally:
        process.terminate()
        process.join()


def serve(connection: Connection, row: Row, setting: Setting, which: str) -> None:
    """Answer a connection: take a step and say its seconds, say how many samples that is, or the peak memory in GiB."""
    if which == "ours":
        tune(setting.device)
    ours, plain, samples = row(setting)
    steps = (ours if which == "ours" else plain)()
    while True:
        match connection.recv():
            case "step":
                connection.send(seconds(partial(next, steps), setting.device))
            case "samples":
                connection.send(samples)
            case "peak":
                connection.send(peak_memory(setting.device))


def peak_memory(device: torch.device) -> float:
    """Return the most memory that this process has had, in GiB: on a GPU what tensors take, else all libraries too."""
    peak = (torch.cuda.max_memory_allocated(device) if device.type == "cuda" else
            1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / 2**30


def opened(name: str, overrides: list[str], setting: Setting) -> tuple[Config, Scenes, Fabric]:
    """Return a row's config and its data."""
    config, fabric = configured(name, overrides, setting), create_fabric(setting.device, setting.precision)
    return config, Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, fabric.device), fabric


def configured(name: str, overrides: list[str], setting: Setting) -> Config:
    """Return a row's config, for random weights."""
    config = load_config(CFG / f"{name}.toml", [f"dataset.root={setting.folder}",
                                                f"dataset.cache={setting.folder}/cache", *overrides], seed=1)
    # The schema refuses to freeze random weights, but they cost what others do.
    return config.model_copy(update={"model": config.model.model_copy(update={"weights": "none"})})


def write_files(scenes: Scenes, folder: Path) -> Path:
    """Write the prepared images as files for the plain side, once; returns their folder."""
    if not folder.exists():
        folder.mkdir()
        for i, image in enumerate(scenes.pixels(torch.arange(len(scenes.rows)))[:, 0].cpu().numpy()):
            Image.fromarray(image).save(folder / f"{i // VARIANTS}_{i % VARIANTS}.png")
    return folder


def write_streets(frames: Frames, folder: Path) -> Path:
    """Write the prepared images and their label maps as files for the plain side, once; returns their folder."""
    if not folder.exists():
        folder.mkdir()
        for i, layers in enumerate(frames.rows.take(torch.arange(len(frames))).cpu().numpy()):
            Image.fromarray(layers[:3].transpose(1, 2, 0)).save(folder / f"{i}.png")
            Image.fromarray(layers[3]).save(folder / f"{i}_labels.png")
    return folder


if __name__ == "__main__":
    run_script(main)
