"""Show what a config will train on: counts per class, a sheet of samples, and pairs as they are drawn."""

import argparse
from pathlib import Path

import torch

from dataset import Batches, Scenes, open_targets
from experiment.command import run_script
from experiment.schema import Config, load_config
from reporting.formats import terminal
from reporting.pictures import pair_sheet
from training.sheets import draw_data, pick

PAIRS = 10


def main() -> None:
    arguments = parse()
    config = load_config(arguments.config, arguments.set)
    train = Scenes(config.dataset, config.dataset.image_size, config.dataset.cache, torch.device("cpu"))
    folder = Path(arguments.out or Path("results") / "inspect" / Path(arguments.config).stem)
    targets = open_targets(config, train)
    batches = create_batches(config, train)
    for scenes in (train, *targets):
        print(counts(scenes))
        draw_data(scenes, folder)
    draw_pairs(batches, folder / "pairs.png")
    print("\n".join(f"picture: {path}" for path in sorted(folder.glob("*.png"))))


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
    return Batches(scenes, scenes.gather, training.batch_size, training.seed, triplet=config.model.variation == "tae",
                   impossible=training.impossible)


def counts(scenes: Scenes) -> str:
    """Return a table of sceneries and images per class, and what was left out and why."""
    classes, group = torch.unique(torch.from_numpy(scenes.labels), dim=0, return_inverse=True)
    images = torch.bincount(group, weights=scenes.count.double()).long()
    lines = [(scenes.class_text(label), str(int(number)), str(int(count)))
             for label, number, count in zip(classes.numpy(), torch.bincount(group), images, strict=True)]
    lines.append(("all", str(len(scenes)), str(len(scenes.images))))
    left_out = "; ".join(f"{count} images left out: {reason}" for reason, count in scenes.dropped.items())
    mirrored = "mirror images are samples too, with the label reversed" if scenes.mirrors else ""
    note = "; ".join(part for part in (mirrored, left_out) if part)
    return f"\n{scenes.title}, {scenes.split}{terminal(('class', 'sceneries', 'images'), lines, 1, note)}"


def draw_pairs(batches: Batches, path: Path) -> None:
    """Write a sheet of anchors with their targets and, for triplets, positives and negatives with theirs."""
    scenes, pairing = batches.scenes, batches.pairing
    sceneries = pick(scenes, PAIRS)
    picks, wanted, in_triplet = batches.choose(sceneries, torch.Generator().manual_seed(batches.seed))
    rows = {}
    for name, *both in zip(("anchor", "positive", "negative"), picks, wanted, strict=False):
        for title, (image, view) in zip((name, f"target of\n{name}"), both, strict=True):
            images = scenes.gather(image, pairing.is_flipped(view)).numpy()
            labels = [scenes.class_text(pairing.classes[number]) for number in pairing.class_of[view].tolist()]
            rows[title] = (images, labels)
    unusable = 0 if in_triplet is None else int((~in_triplet).sum())
    note = f"; {unusable} of {len(sceneries)} without positive or negative" if unusable else ""
    pair_sheet(path, rows, f"Pairs of {scenes.title}, {scenes.split}, as drawn in training; class above each{note}")


if __name__ == "__main__":
    run_script(main)
