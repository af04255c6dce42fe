"""Score how well autoencoders trained on synthetic MPI3D images reconstruct the real ones (Table S5).

Every real image with a large object goes through the model. Its reconstruction is compared with the synthetic image
that has the same factors, and with the real image itself: SSIM, L1 (mean absolute error per pixel) and LPIPS (AlexNet).
The real images lie at the training images' root, or at that of mpi3d, real in evaluation.datasets (--set). The scores
are added to the runs' records, a picture to their images, and a table over seeds is printed.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from autoencoder.judge import has_own_statistics, rebuild_autoencoder
from autoencoder.similarity import partners, similarity
from dataset import Inputs, Scenes
from errors import UserError, check_range, run_script
from evaluation.command import create_parser, in_a_line, open_trained
from evaluation.embedding import reconstruct
from evaluation.image_metrics import LPIPS_LEAST_PIXELS, METRICS, Metric, create_metrics
from evaluation.ssim import ssim
from evaluation.trained import restore
from experiment import records
from experiment.config import Config, EvaluationDataset
from experiment.run import Run, warn_of_mixture
from experiment.systems import AUTOENCODER
from frozen.inputs import create_inputs
from model import Autoencoder
from paper.mpi3d import render, summarise
from paper.tables import place
from readers import create_reader
from reporting.formats import FORMATS
from reporting.options import write_or_print
from reporting.pictures import pair_sheet
from training.journal import selection
from utils import choose_device

SHOWN = 10


def main() -> None:
    arguments = parse()
    runs = open_trained(arguments, AUTOENCODER)
    check(runs, arguments)
    warn_of_mixture(runs)
    if not arguments.recorded:
        metrics = wanted_metrics(arguments.metric)
        for run in tqdm(runs, desc="runs", unit="run", disable=None):
            for row in score(run, arguments.checkpoint, metrics, arguments.limit):
                tqdm.write(in_a_line(run, row), file=sys.stderr)
    table = summarise([entry for run in runs for entry in place(run, records.read(run.folder))])
    if not table:
        raise UserError(f"{', '.join(arguments.runs)}: no scores recorded; leave out --recorded to compute them")
    write_or_print(render(table, arguments.format), arguments.out)


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__)
    parser.add_argument("--metric", nargs="+", choices=METRICS,
                        help="default: all, without lpips where the weights of its AlexNet cannot be downloaded")
    parser.add_argument("--limit", type=int, metavar="N",
                        help="score on so many of the real images, drawn at random, the same ones every time")
    parser.add_argument("--recorded", action="store_true", help="compute nothing, tabulate what the records hold")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--out", metavar="FILE", help="write the table to a file")
    return parser.parse_args()


def check(runs: list[Run], arguments: argparse.Namespace) -> None:
    """Refuse what cannot be computed, before anything is."""
    if arguments.recorded and (arguments.metric or arguments.checkpoint or arguments.limit):
        raise UserError("--recorded: tabulates all that the records hold; allowed with it: --format, --out")
    check_range("--limit", arguments.limit, 1)
    seeds: dict[tuple[Any, ...], Run] = {}
    for run in runs:
        if run.config.model.variation == "features":
            raise UserError(f"{run.folder}: frozen features have no decoder, so there are no reconstructions to score; "
                            "allowed: runs of an autoencoder")
        dataset = run.config.dataset
        if dataset.name != "mpi3d" or dataset.factor not in (["toy"], ["realistic"]):
            found = ", ".join([dataset.name, *dataset.factor])
            raise UserError(f"{run.folder}: was trained on {found}; allowed: mpi3d, toy or realistic")
        if "lpips" in (arguments.metric or METRICS) and dataset.image_size < LPIPS_LEAST_PIXELS:
            raise UserError(f"{run.folder}: LPIPS needs images of at least {LPIPS_LEAST_PIXELS} pixels, found "
                            f"{dataset.image_size}; allowed: --metric ssim l1")
        other = seeds.setdefault((run.experiment, place(run, [])[0].row, run.config.training.seed), run)
        if other is not run:
            raise UserError(f"{other.folder} and {run.folder} are runs of {run.experiment} with the same seed, which "
                            "would count twice; name the runs to use")


def wanted_metrics(names: list[str] | None) -> dict[str, Metric]:
    """Return the metrics by name; where none are named and LPIPS cannot be had, say so and leave it out."""
    try:
        return create_metrics(names or METRICS)
    except UserError as error:
        if names:
            raise
        print(f"warning: lpips is left out. {error}", file=sys.stderr)
        return create_metrics(name for name in METRICS if name != "lpips")


def score(run: Run, checkpoints: list[str] | None, metrics: dict[str, Metric],
          limit: int | None) -> list[dict[str, Any]]:
    """Add the records of a run's checkpoints, draw their pictures, and return the records."""
    config = run.config
    device = choose_device(config.training.device, config.training.gpu)
    real, synthetic = open_domains(config, limit, device)
    partner = partners(real, synthetic)
    model = rebuild_autoencoder(config, real.channels, device)
    identity = real.identity
    if limit:
        # A score of some images stands beside that of all, and does not take its place.
        identity["split"] += f", {len(real)} drawn"
    rows = []
    for checkpoint in checkpoints or run.saved:
        epoch, chosen = restore(model, run, checkpoint), selection(run, checkpoint)
        model.eval()
        inputs = create_inputs(model, real, config.dataset.cache, once=has_own_statistics(run, model))
        scores = similarity(model, inputs, real, synthetic, partner, metrics)
        found = [records.record(experiment=run.experiment, seed=config.training.seed, **identity, classifier="",
                                checkpoint=checkpoint, epoch=epoch, metric=metric, value=value, n=len(real),
                                selection=chosen) for metric, value in scores.items()]
        # Before the picture, which may fail where hours of computing must not be lost.
        records.append(run.folder, found)
        draw(run.images / f"mpi3d_score_{checkpoint}.png", model, inputs, real, synthetic, partner)
        rows += found
    return rows


def open_domains(config: Config, limit: int | None, device: torch.device) -> tuple[Scenes, Scenes]:
    """Open real images, at most `limit`, and all synthetic ones, also where training was limited to some of them."""
    root = config.dataset.roots[0]
    synthetic = config.dataset.model_copy(update={"limit": None, "root": root})
    real = EvaluationDataset(name="mpi3d", factor=["real"], root=root)
    named = (each for each in config.evaluation_datasets() if (each.name, each.factor) == ("mpi3d", ["real"]))
    real = next(named, real)
    first, second = (create_reader(each.name, each.root, each.factor, each.split) for each in (real, synthetic))
    if first.factor_sizes() != second.factor_sizes():
        raise UserError(f"{real.root}: the factors of mpi3d, real, have {first.factor_sizes()} values, those of "
                        f"{synthetic.factor[0]} {second.factor_sizes()}, so real images have no synthetic partners")
    size, cache = config.dataset.image_size, config.dataset.cache
    return (Scenes(real.model_copy(update={"limit": limit}), size, cache, device),
            Scenes(synthetic, size, cache, device))


def draw(path: Path, model: Autoencoder, inputs: Inputs, real: Scenes, synthetic: Scenes, partner: Tensor) -> None:
    """Draw some real images, their reconstructions and their synthetic partners, with the SSIM of the latter two."""
    chosen = torch.from_numpy(np.sort(np.random.default_rng(0).permutation(len(real))[:SHOWN])).to(real.device)
    flip = torch.zeros_like(chosen, dtype=torch.bool)
    targets = synthetic.gather(partner[chosen], flip)
    outputs = reconstruct(model, inputs, real.first[chosen])
    similar = ssim(torch.from_numpy(outputs).to(targets.device), targets)
    names = [real.names[i] for i in chosen.tolist()]
    title = f"{real.title} through a model trained on {synthetic.title}; SSIM with the synthetic partner"
    rows = {
        "real input": (real.gather(real.first[chosen], flip).cpu().numpy(), names),
        "reconstruction": (outputs, [f"SSIM {value:.2f}" for value in similar.tolist()]),
        "synthetic partner": (targets.cpu().numpy(), [synthetic.names[i] for i in partner[chosen].tolist()]),
    }
    pair_sheet(path, rows, title)


if __name__ == "__main__":
    run_script(main)
