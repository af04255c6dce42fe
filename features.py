"""List or clear the frozen features that runs have left in the cache."""

import argparse
import time
from pathlib import Path

from errors import UserError, choice_error, run_script
from frozen.cache import Entry, entries, remove
from reporting.formats import terminal


def main() -> None:
    arguments = parse()
    cache = Path(arguments.cache)
    if not cache.is_dir():
        raise UserError(f"--cache {cache}: no such folder")
    found = entries(cache)
    if arguments.command == "list":
        show(found)
    else:
        clear(found, arguments.names, arguments.all)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="tabulate what is there, how large it is and when it was last used")
    clearing = commands.add_parser("clear", help="delete features; a run that needs them computes them again")
    clearing.add_argument("names", nargs="*", metavar="NAME", help="as `list` prints them")
    clearing.add_argument("--all", action="store_true", help="delete all of them")
    for command in (listing, clearing):
        command.add_argument("--cache", default="cache", metavar="DIR", help="dataset.cache of the runs")
    arguments = parser.parse_args()
    if arguments.command == "clear" and bool(arguments.names) == arguments.all:
        clearing.error("give either names, as `list` prints them, or --all")
    return arguments


def show(found: list[Entry]) -> None:
    lines = []
    for entry in found:
        about = entry.about
        views = f"{entry.done:,} of {about.views:,}" if about and entry.done < about.views else f"{entry.done:,}"
        lines.append((entry.name, f"{entry.bytes / 2**30:.2f}", views if about else "-", ago(entry.used),
                      about.dataset if about else "-", about.network if about else "not readable by this version"))
    print(terminal(("name", "GiB", "views", "last used", "dataset", "network"), lines, 6,
                   f"{len(found)} in all, {sum(entry.bytes for entry in found) / 2**30:.2f} GiB"))


def ago(moment: float) -> str:
    """Return how long ago a moment, in seconds since 1970, was."""
    minutes = max(0.0, time.time() - moment) / 60
    if minutes < 120:
        return f"{minutes:.0f} min ago"
    return f"{minutes / 60:.0f} h ago" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days ago"


def clear(found: list[Entry], names: list[str], everything: bool) -> None:
    known = {entry.name for entry in found}
    for name in names:
        if name not in known:
            raise choice_error("features", name, sorted(known))
    freed = 0
    for entry in found:
        if everything or entry.name in names:
            if remove(entry):
                freed += entry.bytes
                print(f"{entry.name}: deleted")
            else:
                print(f"{entry.name}: kept, another process is computing it")
    print(f"{freed / 2**30:.2f} GiB freed")


if __name__ == "__main__":
    run_script(main)
