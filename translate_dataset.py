"""Translate the rendered dataset of a trained translation: a copy in the look of the real images, in the same layout.

Names, labels, label maps, outlines and poses stay as they are, so that every system trains on the copy by
`dataset.root` alone. What was made of what, and with which weights, stands in `translation.json` in it. Stopped, it
goes on where it was with the same command.
"""

import argparse
from pathlib import Path
from typing import Any

from torch import nn

from errors import UserError, choice_error, run_script
from evaluation.trained import check_overrides, check_run, restore
from experiment.checkpoint import load_state_dict, misfit
from experiment.config import load_config
from experiment.run import describe_environment, open_run
from experiment.systems import TRANSLATION
from files import fingerprint_file
from readers import READERS
from translation.data import Domain, open_domains
from translation.hybrids import Hybrids
from translation.judge import Translate
from translation.models import create_model, translations
from translation.stylised import write_stylised
from translation.swapping import SwappingAutoencoder
from utils import choose_device

# What the published code once kept of instance norms that had statistics, and does not use.
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def main() -> None:
    arguments = parse()
    out = Path(arguments.out)
    if out.exists() and not arguments.textures:
        raise UserError(f"--out {out}: exists; allowed: a folder that does not")
    if arguments.generator:
        config = load_config(arguments.run, arguments.set)
        TRANSLATION.check(config.model.type, arguments.run)
        weights = Path(arguments.generator)
        about = {"config": arguments.run}
    else:
        check_overrides([each for each in arguments.set if not each.startswith("dataset.")], [Path(arguments.run)])
        run = open_run(Path(arguments.run), arguments.set)
        config = run.config
        check_run(run, [arguments.checkpoint], TRANSLATION, writes=False)
        weights = run.weights(arguments.checkpoint)
        about = {"run": str(run.folder), "experiment": run.experiment, "seed": config.training.seed,
                 "checkpoint": arguments.checkpoint}
    if len(config.dataset.roots) > 1:
        raise UserError(f"dataset.root: found {len(config.dataset.roots)} roots; a copy is made of one, for example "
                        f"--set dataset.root={config.dataset.roots[0]}")
    if config.dataset.name not in READERS:
        raise choice_error("dataset.name", config.dataset.name, READERS)
    READERS[config.dataset.name].check_copy()
    if READERS[config.dataset.name].splits_by_place:
        # The same images are the training ones in the copy only where it has all.
        config = config.model_copy(update={"dataset": config.dataset.model_copy(update={"split": "all",
                                                                                        "limit": None})})
    device = choose_device(config.training.device, config.training.gpu)
    source, target = open_domains(config, device)
    model = create_model(config, source, target).to(device).eval()
    if arguments.generator:
        load_generator(model, weights)
    else:
        about["epoch"] = restore(model, run, arguments.checkpoint)
    about |= {"weights": fingerprint_file(weights), "dataset": config.dataset.model_dump(mode="json"),
              "images": len(source)} | describe_environment(about.get("experiment", ""), str(device))
    for folder, translate, texture in copies(arguments, model, target, out):
        if arguments.textures and folder.exists():
            continue
        count = write_stylised(source, translate, folder, about | texture)
        others = "" if source.split == "all" else "; it holds this split alone, for all use --set dataset.split=all"
        print(f"{folder}: {count} translated images of {source.title}, {source.split}; train on them with "
              f"--set dataset.root={folder}{others}")


def copies(arguments: argparse.Namespace, model: nn.Module, target: Domain,
           out: Path) -> list[tuple[Path, Translate, dict[str, Any]]]:
    """Return the folders that are made: each with how its images are translated, and what is to be said of that."""
    count, place = arguments.textures, arguments.fixed_texture
    if count is None and place is None:
        return [(out, translations(model, target)[0][0], {})]
    option = "--fixed-texture" if count is None else "--textures"
    if not isinstance(model, SwappingAutoencoder):
        raise UserError(f"{option}: {arguments.run} holds a model without textures; allowed: one of type 'swapping'")
    least, most = (0, len(target) - 1) if count is None else (1, len(target))
    found = place if count is None else count
    if not least <= found <= most:
        raise UserError(f"{option}: found {found}; allowed: {least} to {most}, as {target.title} has {len(target)} "
                        "images")
    places = [place] if count is None else target.spread(count).tolist()
    return [(out if count is None else out / f"texture_{each}", Hybrids(model, target, fixed=each),
             {"texture": target.sources[each]}) for each in places]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="run folder of a translation; with --generator, a config of one")
    parser.add_argument("--out", required=True, metavar="DIR", help="new folder, which is to be the dataset's root")
    parser.add_argument("--checkpoint", choices=("last", "best"), default="last",
                        help="weights of the last epoch (default), or the best ones by the run's evaluation")
    parser.add_argument("--generator", metavar="FILE",
                        help="weights in the published code's file: latest_net_G_A.pth of a CycleGAN, the checkpoint "
                             "of a swapping autoencoder")
    texture = parser.add_mutually_exclusive_group()
    texture.add_argument("--textures", type=int, metavar="N",
                         help="of a swapping autoencoder: N copies, DIR/texture_<place>, each with the texture of one "
                              "of N real images; default: one copy, every image with a texture of its own")
    texture.add_argument("--fixed-texture", type=int, metavar="PLACE",
                         help="one copy with the texture of one real image, by its place in [target]: for video")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override keys of [dataset] and of places, for example --set dataset.split=all")
    return parser.parse_args()


def load_generator(model: nn.Module, file: Path) -> None:
    """Fill a model from a file of its published code; UserError where it does not fit.

    That of a CycleGAN is its generator's alone, that of a swapping autoencoder holds all networks that it has.
    """
    state: dict[str, Any] = {name: value for name, value in load_state_dict(file).items()
                             if not name.endswith(STATISTICS)}
    swapping = isinstance(model, SwappingAutoencoder)
    if swapping:
        model.I = model.averaged = None
    network = model if swapping else model.G_A
    if problem := misfit(state, network.state_dict()):
        what = "networks" if swapping else "generator"
        raise UserError(f"--generator {file}: does not fit the {what} of the config: {problem}")
    network.load_state_dict(state)


if __name__ == "__main__":
    run_script(main)
