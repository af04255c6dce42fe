"""Tabulate how complex the images of datasets are: mean Shannon entropy and mean co-occurrence entropy, in bits."""

import argparse
from pathlib import Path

from errors import UserError, run_script
from readers import READERS, create_reader
from readers.complexity import mean_entropies
from readers.prepare import prepare
from reporting.formats import FORMATS
from reporting.options import write_or_print


def main() -> None:
    arguments = parse()
    for name, least in (("size", 2), ("limit", 1)):
        value = getattr(arguments, name)
        if value is not None and value < least:
            raise UserError(f"--{name}: found {value}; allowed: {least} or more")
    lines = []
    for wish in arguments.datasets:
        name, _, factor = wish.partition(":")
        reader = create_reader(name, arguments.root, factor.split(",") if factor else [], arguments.split)
        prepared = prepare(reader, arguments.size, Path(arguments.cache), arguments.limit)
        shannon, pairs = mean_entropies(prepared.images, reader.title)
        lines.append((wish, reader.split, str(len(prepared.images)), f"{shannon:.3f}", f"{pairs:.3f}"))
    header = ("dataset", "split", "images", "Shannon entropy (bit)", "co-occurrence entropy (bit)")
    write_or_print(FORMATS[arguments.format](header, lines, 2), arguments.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", nargs="+", metavar="DATASET[:FACTOR,...]",
                        help=f"for example sviro:x5,i3 digit_photos; known: {', '.join(READERS)}")
    parser.add_argument("--root", default="data", help="folder of the downloaded datasets (default: data)")
    parser.add_argument("--cache", default="cache", help="folder for prepared images (default: cache)")
    parser.add_argument("--split", choices=("train", "test", "all"), help="default: the dataset's own")
    parser.add_argument("--size", type=int, default=128, help="pixels of the prepared images (default: 128)")
    parser.add_argument("--limit", type=int, help="use at most so many sceneries")
    parser.add_argument("--format", choices=FORMATS, default="terminal")
    parser.add_argument("--out", metavar="FILE", help="write the table to a file")
    return parser.parse_args()


if __name__ == "__main__":
    run_script(main)
