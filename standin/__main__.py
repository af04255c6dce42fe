"""Draw a stand-in of a dataset that has to be downloaded by hand, in the layout that its reader expects."""

import argparse
from pathlib import Path

from errors import run_script
from standin.write import KINDS, flag, notice_of, write_standin


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m standin", description=__doc__, epilog=_defaults(),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, metavar="NAME", help=f"one of {', '.join(KINDS)}")
    parser.add_argument("--out", required=True, metavar="DIR", type=Path,
                        help="what dataset.root is to name; the dataset's folder is made in it and must not exist yet")
    parser.add_argument("--sceneries", type=int, metavar="N", help="how many, over all splits; per car where there are "
                        "cars")
    parser.add_argument("--variants", type=int, metavar="V", help="images per scenery: illuminations or backgrounds")
    parser.add_argument("--factor", nargs="+", metavar="PART", help="cars, by any name; for mpi3d toy, realistic, real")
    parser.add_argument("--gap", type=float, metavar="G", help="0 to 1: from a clean rendered look to a real one "
                        "(light from one side, low contrast, blur, noise)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="default 0; the same options and seed give "
                        "the same images")
    parser.add_argument("--steps", type=int, metavar="K", help="positions of each of mpi3d's two axes, 1 to 40; makes "
                        "288 K K images")
    arguments = vars(parser.parse_args())
    folder = write_standin(arguments.pop("dataset"), arguments.pop("out"), factors=arguments.pop("factor"), **arguments)
    print(f"{folder}: a drawn stand-in, not the dataset; see {notice_of(folder).name} beside it")


def _defaults() -> str:
    """Return a table of the options that apply to each dataset and their defaults."""
    return "\n".join(["which options apply, and their defaults:", *(f"  {name}: " + ", ".join(
        f"{flag(key)} {' '.join(value) if isinstance(value, list) else 'by domain' if value is None else value}"
        for key, value in kind.defaults.items()) for name, kind in KINDS.items())])


if __name__ == "__main__":
    run_script(main)
