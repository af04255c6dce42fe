"""What scripts that make tables and figures of runs share: their options, and where the table goes."""

import argparse
from pathlib import Path

from errors import UserError
from files import write_out
from reporting.formats import FORMATS


def create_parser(description: str, pool: bool = False, table: str = "") -> argparse.ArgumentParser:
    """Return a parser that takes runs; `pool`: and --pool; `table`: and --format, with this option for a file."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, experiment folders or globs")
    if pool:
        parser.add_argument("--pool", action="store_true",
                            help="take the factors of a dataset (cars left out in turn) as one test set, in accuracies "
                                 "and other means over samples")
    if table:
        parser.add_argument("--format", choices=FORMATS, default="terminal", help="of the table")
        parser.add_argument(table, metavar="FILE", help="write the table to a file")
    return parser


def write_or_print(text: str, out: str | None) -> None:
    """Write a text to the file that --out names, or print it; UserError when the file cannot be written."""
    if out is None:
        print(text, end="")
        return
    try:
        write_out(Path(out), text)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror}") from None
