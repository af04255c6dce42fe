"""What a reader finds: sceneries with labels and sources, and what it leaves out."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path

import numpy as np

from errors import UserError


def stamp(file: Path | os.DirEntry[str]) -> str:
    """Return what changes when a file's content does: its size and modification time."""
    status = file.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"


@dataclass
class Listing:
    """The sceneries of a dataset in a fixed order.

    sceneries: their names, no two alike in a split; labels: one tuple per scenery, an integer per seat (or the single
    class);
    sources: per scenery the sources of its variants, each understood by the reader's `prepare`;
    stamps: what changes when a source changes (size and time of files), one per source, in their order;
    splits: per scenery the split it comes from, empty where the dataset has none;
    dropped: reason -> sources that are left out for it; bad: source -> what is wrong with its name or place.
    """

    sceneries: list[str] = field(default_factory=list)
    labels: list[tuple[int, ...]] = field(default_factory=list)
    sources: list[list[str]] = field(default_factory=list)
    stamps: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    dropped: dict[str, list[str]] = field(default_factory=dict)
    bad: dict[str, str] = field(default_factory=dict)

    def add(self, scenery: str, label: tuple[int, ...], sources: list[str], stamps: list[str], split: str = "") -> None:
        self.sceneries.append(scenery)
        self.labels.append(label)
        self.sources.append(sources)
        self.stamps += stamps
        self.splits.append(split)

    def add_files(self, scenery: str, label: tuple[int, ...], files: list[os.DirEntry[str]], split: str = "") -> None:
        """Add a scenery whose variants are files."""
        self.add(scenery, label, [file.path for file in files], [*map(stamp, files)], split)

    def drop(self, reason: str, source: str | Path) -> None:
        """Leave a source out because the dataset's rules say so."""
        self.dropped.setdefault(reason, []).append(str(source))

    def reject(self, source: str | Path, problem: str) -> None:
        """Note a source that cannot be used; whether that ends the program is for `settle` to say."""
        self.bad[str(source)] = problem

    def settle(self, skip_bad: bool) -> None:
        """Raise UserError naming the first bad source and counting all, or leave them out."""
        if self.bad and not skip_bad:
            raise UserError(too_bad(*next(iter(self.bad.items())), len(self.bad)))
        for source, problem in self.bad.items():
            self.drop(problem, source)
        self.bad = {}

    def limited(self, limit: int | None) -> "Listing":
        """Return at most `limit` sceneries, drawn alike on every machine; a smaller limit draws a subset."""
        if limit is None or limit >= len(self.sceneries):
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.sceneries))[:limit])
        return self._part({i: range(len(self.sources[i])) for i in chosen.tolist()})

    def without(self, images: Iterable[int], reason: str) -> "Listing":
        """Return a listing without some images, given by their places among all sources, left out for a reason."""
        images, places = set(images), count()
        kept = {i: [k for k in range(len(variants)) if next(places) not in images]
                for i, variants in enumerate(self.sources)}
        listing, sources = self._part(kept), list(chain.from_iterable(self.sources))
        for image in sorted(images):
            listing.drop(reason, sources[image])
        return listing

    def _part(self, variants: dict[int, Iterable[int]]) -> "Listing":
        """Return a listing of some sceneries, each with some of its variants, or without it where these are none."""
        ends = np.cumsum([len(each) for each in self.sources])
        part = Listing(dropped={reason: list(sources) for reason, sources in self.dropped.items()})
        for i, chosen in variants.items():
            if not chosen:
                continue
            first = int(ends[i]) - len(self.sources[i])
            part.add(self.sceneries[i], self.labels[i], [self.sources[i][k] for k in chosen],
                     [self.stamps[first + k] for k in chosen], self.splits[i])
        return part


def too_bad(source: str, problem: str, count: int) -> str:
    """Word the refusal of bad sources: the first of them, how many there are, and how to leave them out."""
    more = f" (and {count - 1} more like it)" if count > 1 else ""
    which = "them" if count > 1 else "it"
    return f"{source}: {problem}{more}; skip_bad = true in the section of this dataset leaves {which} out"
