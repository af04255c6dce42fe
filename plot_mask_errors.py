"""Draw how many images have at most which error of the mask: a curve per run and dataset that was evaluated.

Curves are cumulative Gaussian kernel density estimates, as in Figures 6.5 and 7.1 of "Annotation Invariant Style
Transfer".
"""

from pathlib import Path

import numpy as np

from errors import UserError, run_script
from evaluation.shape_metrics import smooth_cumulative
from experiment.run import Run, expand, open_run
from files import read_arrays
from reporting.options import create_parser
from reporting.shapes import cumulative_figure

# Errors beyond are few, and of no interest.
MOST = 1.5


def main() -> None:
    parser = create_parser(__doc__)
    parser.add_argument("--out", default="mask_errors", metavar="FILE", help="PDF and PNG (default: %(default)s)")
    parser.add_argument("--of", default="network", metavar="NAME", help="whose errors: network (default), untrained, "
                        "constant")
    arguments = parser.parse_args()
    curves = {}
    for run in map(open_run, expand(arguments.runs)):
        for name, values in errors_of(run, arguments.of).items():
            at, title = np.linspace(0, MOST, 300), f"{run.experiment} ({run.config.training.seed}): {name}"
            if title in curves:
                raise UserError(f"several runs have errors of the same: {title}; name the runs to use")
            curves[title] = at, smooth_cumulative(values, at)
    for path in cumulative_figure(Path(arguments.out), curves, "mask error (XOR by true pixels)"):
        print(path)


def errors_of(run: Run, predictor: str) -> dict[str, np.ndarray]:
    """Return the errors (n,) of masks by dataset, of a run's last weights; UserError where there are none."""
    ending = f"_{predictor}_last.npz"
    paths = sorted((run.folder / "errors").glob(f"*{ending}"))
    if not paths:
        raise UserError(f"{run.folder}: no errors of '{predictor}' with the last weights (looked for "
                        f"errors/*{ending}); run eval_shape_pose.py first")
    try:
        return {path.name.removesuffix(ending): read_arrays(path, ["xor"])["xor"] for path in paths}
    except (OSError, ValueError) as error:
        raise UserError(f"{run.folder}: errors cannot be read: {error}") from None


if __name__ == "__main__":
    run_script(main)
