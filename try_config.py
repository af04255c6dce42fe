"""Try a config from the first look to the table, in minutes, on small drawn stand-ins of its datasets.

Nothing is downloaded: the datasets are drawn in the layout of the downloads, and networks have random weights where the
config asks for trained ones. What comes out shows that everything fits together, and says nothing about real data.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import torch

from errors import UserError, check_range, run_script
from experiment.config import Config, EvaluationDataset, dump_config, load_config
from experiment.systems import AUTOENCODER, BY_TYPE, SEGMENTATION, SHAPE_POSE, TRANSLATION
from pretrained_model import build_network
from standin import KINDS, write_standin

PROJECT = Path(__file__).parent
# Options that keep stand-ins small, beside the number of sceneries.
SMALL = {"variants": 3, "steps": 2}


def main() -> None:
    arguments = parse()
    check_range("--sceneries", arguments.sceneries, 10)
    check_range("--epochs", arguments.epochs, 1)
    config = load_config(arguments.config, arguments.set)
    system = BY_TYPE[config.model.type]
    if system in (TRANSLATION, SHAPE_POSE):
        raise UserError(f"{arguments.config}: model.type: found '{config.model.type}', which needs more than drawn "
                        f"stand-ins; make demo-{'translation' if system is TRANSLATION else 'shape'} shows such a "
                        "system at work without a download")
    name = Path(arguments.config).stem
    folder = Path(arguments.out or Path("results") / "try" / name).resolve()
    if folder.exists():
        raise UserError(f"--out {folder}: exists already; delete it, or choose another folder")
    sections = [config.dataset, *config.evaluation.datasets]
    drawn = [section for section in sections if section.name in KINDS]
    if own := [section.name for section in sections if section.name in ("folder", "colour_folder")]:
        raise UserError(f"{arguments.config}: own data ('{own[0]}') has no stand-in; allowed: {', '.join(KINDS)}, and "
                        "what needs no download")
    folder.mkdir(parents=True)
    try:
        draw(drawn, folder / "data", arguments.sceneries)
        small = folder / f"{name}.toml"
        small.write_text(dump_config(shrunk(config, folder, arguments.sceneries, arguments.epochs)), encoding="utf-8")
        small.write_text(dump_config(load_config(small, arguments.set)), encoding="utf-8")
    except BaseException:
        shutil.rmtree(folder)
        raise
    for command in commands(config, small):
        print(f"\n$ python {' '.join(command)}", flush=True)
        if subprocess.run([sys.executable, PROJECT / command[0], *command[1:]], check=False).returncode:
            raise UserError(f"{arguments.config}: {command[0]} failed on stand-ins of its datasets, in {folder}")
    print(f"tried on drawn stand-ins, so no figure here says anything about real data; all of it is in {folder}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="TOML file of the experiment")
    parser.add_argument("--sceneries", type=int, default=32, help="per dataset, and per car (default: 32)")
    parser.add_argument("--epochs", type=int, default=2, help="default: 2")
    parser.add_argument("--set", nargs="+", default=[], action="extend", metavar="SECTION.KEY=VALUE",
                        help="override config keys, also those that are made small")
    parser.add_argument("--out", metavar="DIR", help="folder for everything; default: results/try/<config>")
    return parser.parse_args()


def draw(sections: list[EvaluationDataset], root: Path, sceneries: int) -> None:
    """Draw a stand-in of each dataset, with all the parts (cars, domains) that the sections name."""
    for name in dict.fromkeys(section.name for section in sections):
        takes = KINDS[name].defaults
        options = {key: value for key, value in {**SMALL, "sceneries": sceneries}.items() if key in takes}
        factors = [factor for section in sections if section.name == name for factor in section.factor]
        # Models of MPI3D are judged on its real images, whatever they are trained on.
        factors += ["real"] if name == "mpi3d" else []
        write_standin(name, root, factors=factors or None, **options)


def shrunk(config: Config, folder: Path, sceneries: int, epochs: int) -> Config:
    """Return the config for a short run on the stand-ins in `folder`."""
    here = {"root": str(folder / "data"), "limit": sceneries}
    dataset = config.dataset.model_copy(update={**here, "cache": str(folder / "cache")})
    tests = [target.model_copy(update=here) for target in config.evaluation.datasets]
    model = config.model
    if BY_TYPE[model.type] is AUTOENCODER:
        # There are no more principal components than training sceneries.
        fewer = {"dimension": 3} if model.variation == "features" else {}
        model = model.model_copy(update={"knn": 3} | fewer)
    training = config.training.model_copy(update={"epochs": epochs, "frequency": 1, "batch_size": 16})
    if BY_TYPE[model.type] is SEGMENTATION:
        model = model.model_copy(update={"weights": "none"})
        training = training.model_copy(update={"iterations": None, "batch_size": 4})
    elif model.type != "conv" and model.weights != "none":
        weights = folder / f"random_{model.extractor}.pth"
        torch.save(build_network(model.extractor, num_classes=1000).state_dict(), weights)
        model = model.model_copy(update={"weights": str(weights)})
    evaluation = config.evaluation.model_copy(update={"datasets": tests})
    return type(config)(dataset=dataset, model=model, training=training, evaluation=evaluation)


def commands(config: Config, file: Path) -> list[list[str]]:
    """Return what a user would type, from the first look to the table, for a config that lies in `file`."""
    run, system = str(file.parent / "run"), BY_TYPE[config.model.type]
    steps = [["inspect_dataset.py", str(file), "--out", str(file.parent / "look")],
             [system.train, str(file), "--out", run]]
    if config.dataset.name == "mpi3d" and system is AUTOENCODER:
        # Without LPIPS, which needs a download.
        steps.append(["compute_mpi3d_score.py", run, "--metric", "ssim", "l1"])
    if not config.evaluation.datasets:
        return steps
    return [*steps, [system.evaluate, run], ["calculate_mean_and_var_accuracy.py", run]]


if __name__ == "__main__":
    run_script(main)
