"""Show what a config will train on: counts per class and split, what is left out, samples, and pairs as drawn."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from autoencoder.config import AutoencoderConfig
from dataset import Batches, Scenes, open_evaluation_datasets
from errors import run_script
from evaluation.sheets import draw_data, pick
from experiment.config import Config, load_config, pair
from experiment.systems import BY_TYPE, SEGMENTATION, SHAPE_POSE, TRANSLATION
from files import write_text
from readers.opened import Opened
from reporting.formats import comma_separated, terminal
from reporting.pictures import pair_sheet, sample_sheet
from segmentation.config import SegmentationConfig
from segmentation.data import Frames, open_evaluation_frames
from translation.config import TranslationConfig
from translation.data import Domain
from translation.judge import to_bytes

PAIRS = 10
# Datasets with more classes than this, such as MPI3D with its factors, are counted as a whole.
MOST_CLASSES = 200
SHOWN = 3
SAMPLES = 40


def main() -> None:
    arguments = parse()
    config = load_config(arguments.config, arguments.set)
    folder = Path(arguments.out or Path("results") / "inspect" / Path(arguments.config).stem)
    inspect = {SEGMENTATION: inspect_frames, TRANSLATION: inspect_images, SHAPE_POSE: inspect_images}.get(
        BY_TYPE[config.model.type], inspect_scenes)
    print("\n".join(f"picture: {path}" for path in inspect(config, folder)))


def inspect_frames(config: SegmentationConfig, folder: Path) -> list[Path]:
    """Print the pixels of each class in each dataset; return the paths of pictures of images under their label maps."""
    # Here, as torchvision, of which networks are made, takes a second.
    from segmentation.judge import draw_frames

    device = torch.device("cpu")
    frames = [Frames(config.dataset, config.dataset.classes, config.dataset.cache, device),
              *open_evaluation_frames(config, device)]
    shares = np.array([each.shares() for each in frames])
    lines = [(name, *(f"{100 * share:.2f}" for share in row))
             for name, row in zip([*frames[0].classes, "ignored"], shares.T, strict=True)]
    # The floor of any network: the commonest class of the training set everywhere.
    commonest = int(shares[0, :-1].argmax())
    lines.append((f"mIoU of nothing but {frames[0].classes[commonest]}",
                  *(f"{100 * value:.2f}" for value in always(shares, commonest))))
    note = "; ".join(text for each in frames for text in each.remarks)
    header = ("class: % of pixels", *(f"{each.title}, {each.split}: {len(each)} images" for each in frames))
    print(terminal(header, lines, 1, note))
    pictures = [draw_frames(each, folder) for each in frames]
    write_left_out(frames, folder)
    return pictures


def inspect_images(config: Config, folder: Path) -> list[Path]:
    """Print how many images each dataset of a translation, or of shape and pose, has; return the paths of samples."""
    section, real = config.dataset, list(config.targets()) if isinstance(config, TranslationConfig) else []
    shared = {"image_size": pair(section.image_size), "class_map": None}
    opened, pictures, lines = {}, [], []
    for each in [section, *real, *config.evaluation_datasets()]:
        each = each.model_copy(update={key: value for key, value in shared.items() if not getattr(each, key, None)
                                       or key == "image_size"})
        domain = Domain(each, getattr(section, "classes", ""), section.cache, torch.device("cpu"))
        opened.setdefault(domain.file_name, domain)
    for name, domain in opened.items():
        index = domain.spread(SAMPLES)
        images, path = to_bytes(domain.take(index)[0]).numpy(), folder / f"data_{name}.png"
        lines.append((f"{domain.title}, {domain.split}", str(len(domain.names)), str(len(domain))))
        sample_sheet(path, images, [""] * len(images), f"{domain.title}, {domain.split}: {len(domain)} images")
        pictures.append(path)
    note = "; ".join(text for domain in opened.values() for text in domain.remarks)
    print(terminal(("dataset", "sceneries", "images"), lines, 1, note))
    write_left_out(list(opened.values()), folder)
    return pictures


def always(shares: np.ndarray, number: int) -> np.ndarray:
    """Return the mIoU (datasets,) of predicting one class everywhere, of shares of pixels (datasets, classes + 1)."""
    there = shares[:, :-1]
    return there[:, number] / there.sum(axis=1) / (there > 0).sum(axis=1)


def inspect_scenes(config: Config, folder: Path) -> list[Path]:
    """Print what is in each dataset by class; return the paths of pictures of sceneries and of pairs as drawn."""
    train = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, torch.device("cpu"))
    tests = open_evaluation_datasets(config, train)
    batches = create_batches(config, train)
    pictures = []
    for scenes in (train, *tests):
        print(counts(scenes))
        pictures.append(draw_data(scenes, folder))
    pictures.append(draw_pairs(batches, folder / "pairs.png"))
    write_left_out([train, *tests], folder)
    return pictures


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="TOML file of the experiment")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override config keys")
    parser.add_argument("--out", metavar="DIR", help="folder for the pictures; default: results/inspect/<config>")
    return parser.parse_args()


def create_batches(config: Config, scenes: Scenes) -> Batches:
    """Return batches of images that are drawn as in training."""
    training = config.training
    pairs = {"triplet": config.model.variation == "tae", "impossible": training.impossible} if isinstance(
        config, AutoencoderConfig) else {}
    return Batches(scenes, scenes.gather, training.batch_size, training.seed, every_variant=training.variants == "all",
                   **pairs)


def counts(scenes: Scenes) -> str:
    """Return a table of sceneries and images per class, per split where there are several, and what is left out."""
    classes, group = np.unique(scenes.labels, axis=0, return_inverse=True)
    images = np.bincount(group.reshape(-1), weights=scenes.count.numpy())
    splits = list(dict.fromkeys(scenes.splits))
    shown = splits if len(splits) > 1 else []
    in_split = [np.bincount(group.reshape(-1), weights=np.array(scenes.splits) == name) for name in shown]
    rows = np.column_stack([*in_split, np.bincount(group.reshape(-1)), images]).astype(int)
    names = [scenes.class_text(label) for label in classes]
    if len(names) > MOST_CLASSES:
        rows, names = rows.sum(axis=0, keepdims=True), [f"all {len(names)} classes"]
    else:
        rows, names = np.vstack([rows, rows.sum(axis=0)]), [*names, "all"]
    lines = [(name, *map(str, row)) for name, row in zip(names, rows, strict=True)]
    header = ("class", *(f"{name}: sceneries" for name in shown), "sceneries", "images")
    mirrored = ["mirror images are samples too, with the label reversed"] if scenes.mirrors else []
    note = "; ".join([*mirrored, *scenes.remarks])
    return f"\n{scenes.title}, {scenes.split}{terminal(header, lines, 1, note)}"


def write_left_out(datasets: Sequence[Opened], folder: Path) -> None:
    """Write a table of every file or folder that is left out, and why; say how it begins and where it is."""
    path = folder / "left_out.csv"
    lines = [(scenes.title, reason, source) for scenes in datasets for reason, sources in scenes.dropped.items()
             for source in sources]
    if not lines:
        return
    write_text(path, comma_separated(("dataset", "reason", "source"), lines))
    for _, reason, source in lines[:SHOWN]:
        print(f"left out: {source} ({reason})")
    print(f"table of all {len(lines)} left out: {path}")


def draw_pairs(batches: Batches, path: Path) -> Path:
    """Write a sheet of anchors, for triplets positives and negatives, and the targets of all; return its path."""
    scenes, pairing = batches.scenes, batches.pairing
    sceneries = pick(scenes, PAIRS)
    samples = scenes.first[sceneries] if batches.every_variant else sceneries
    picks, wanted, in_triplet = batches.choose(samples, torch.Generator().manual_seed(batches.seed))
    rows = {}
    for name, *both in zip(("anchor", "positive", "negative"), picks, wanted, strict=False):
        for title, (image, view) in zip((name, f"target of\n{name}"), both, strict=True):
            images = scenes.gather(image, pairing.is_flipped(view)).numpy()
            labels = [scenes.class_text(pairing.class_labels[number]) for number in pairing.class_of[view].tolist()]
            rows[title] = (images, labels)
    unusable = 0 if in_triplet is None else int((~in_triplet).sum())
    note = f"; {unusable} of {len(sceneries)} without positive or negative" if unusable else ""
    pair_sheet(path, rows, f"Pairs of {scenes.title}, {scenes.split}, as drawn in training; class above each{note}")
    return path


if __name__ == "__main__":
    run_script(main)
