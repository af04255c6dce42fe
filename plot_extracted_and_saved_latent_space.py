"""Draw saved latent spaces in two dimensions, synthetic and real latents together, and say how far apart they are.

Takes runs whose latents recon_and_save_latent_space.py has saved. Per checkpoint and method a figure shows every
dataset with a marker of its own, coloured by domain and by class (a panel per seat): images/latents_<method>_
<checkpoint>.png and .pdf in the run folder. Two numbers say how far each evaluation dataset is from the training one;
they are computed from the latents themselves, on one unmirrored image per scenery, printed and added to the records:
the balanced accuracy of a linear classifier of the domains (cross-validated; 50 % is chance, 100 % separable), and the
share of synthetic latents among the ten nearest neighbours of real ones, relative to chance (0 apart, 1 mixed).
autoencoder/domain_gap.py defines both.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from autoencoder.domain_gap import DomainGap, domain_gap
from autoencoder.projection import METHODS, project
from autoencoder.saved_latents import SavedLatents, find, saved_checkpoints
from errors import check_range, run_script
from experiment import records
from experiment.run import Run, expand, open_run
from reporting.formats import FORMATS
from reporting.gaps import EXPLANATION, GAPS, TITLES
from reporting.latents import Domain, latent_scatter
from reporting.options import create_parser, write_or_print

HEADER = ("experiment", "seed", "weights", "real dataset", *TITLES, "real sceneries")


def main() -> None:
    arguments = parse()
    spaces = []
    for folder in expand(arguments.runs):
        records.check_writable(folder)
        for checkpoint in arguments.checkpoint or saved_checkpoints(folder):
            spaces.append((open_run(folder), checkpoint, find(folder, checkpoint, arguments.datasets)))
    lines = []
    for run, checkpoint, saved in tqdm(spaces, desc="latent spaces", unit="space", disable=None):
        gaps = [domain_gap(saved[0].one_per_scenery(), real.one_per_scenery()) for real in saved[1:]]
        # Before the pictures, which may fail where results must not be lost.
        records.append(run.folder, [row for real, gap in zip(saved[1:], gaps, strict=True) for row in rows(real, gap)])
        lines += [(run.experiment, str(real.about["seed"]), checkpoint, real.title, *texts(gap), str(gap.real))
                  for real, gap in zip(saved[1:], gaps, strict=True)]
        for method in arguments.method:
            for picture in draw(run, checkpoint, saved, gaps, method, arguments):
                tqdm.write(f"picture: {picture}")
    if lines:
        write_or_print(FORMATS[arguments.format](HEADER, lines, 4, EXPLANATION), arguments.out)


def parse() -> argparse.Namespace:
    parser = create_parser(__doc__, table="--out")
    parser.add_argument("--checkpoint", nargs="+", choices=("last", "best"),
                        help="latents of these weights; default: all that are saved")
    parser.add_argument("--datasets", nargs="+", metavar="NAME",
                        help="these evaluation datasets, named as the files in latents/ (without the checkpoint); "
                             "default: all that are saved")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["tsne"], help="default: tsne")
    parser.add_argument("--seed", type=int, default=0, help="of the projection and of the points drawn (default: 0)")
    parser.add_argument("--limit", type=int, default=15000, metavar="N",
                        help="draw at most so many latents of each dataset, picked at random (default: 15000)")
    arguments = parser.parse_args()
    check_range("--limit", arguments.limit, 1)
    check_range("--seed", arguments.seed, 0, 2**32 - 1)
    return arguments


def rows(real: SavedLatents, gap: DomainGap) -> list[dict[str, Any]]:
    """Return the records of a domain gap."""
    names = ("experiment", "seed", "dataset", "factor", "split", "checkpoint", "epoch", "selection")
    common = {name: real.about[name] for name in names} | {"classifier": "", "n": gap.real}
    return [records.record(**common, metric=name, value=value) for name, value in zip(GAPS, gap[:2], strict=True)]


def texts(gap: DomainGap) -> list[str]:
    """Return the two numbers for people: the first in percent."""
    return [metric.text(metric.scale * value) for metric, value in zip(GAPS.values(), gap[:2], strict=True)]


def draw(run: Run, checkpoint: str, saved: list[SavedLatents], gaps: list[DomainGap], method: str,
         arguments: argparse.Namespace) -> list[Path]:
    """Project the latents of all datasets together and draw them; return the paths."""
    rng = np.random.default_rng(arguments.seed)
    chosen = [np.sort(rng.permutation(len(each))[:arguments.limit]) for each in saved]
    together = np.concatenate([each.latents[some] for each, some in zip(saved, chosen, strict=True)])
    points, axes = project(together, method, arguments.seed)
    ends = np.cumsum([len(some) for some in chosen])[:-1]
    domains = [Domain(each.title, part, each.labels[some])
               for each, part, some in zip(saved, np.split(points, ends), chosen, strict=True)]
    note = "\n".join(f"{real.title}: domain classifier {accuracy} % (50: chance, 100: separable), "
                     f"kNN overlap {overlap} (0: apart, 1: mixed)"
                     for real, (accuracy, overlap) in zip(saved[1:], map(texts, gaps), strict=True))
    epoch = saved[0].about["epoch"]
    title = (f"Latent space of {run.experiment}, seed {saved[0].about['seed']}, {checkpoint} weights "
             f"(epoch {'unknown' if epoch is None else epoch})")
    return latent_scatter(run.images / f"latents_{method}_{checkpoint}", domains, saved[0].classes.tolist(), axes,
                          title, note)


if __name__ == "__main__":
    run_script(main)
