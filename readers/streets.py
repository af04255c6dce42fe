"""Street scenes: a photograph or rendered image, and beside it a label map with the class of every pixel."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from readers.base import BadImage, Reader, Size, is_image, width_height
from readers.class_maps import ClassMap, load_class_map
from readers.images import open_colour, open_labels, scan
from readers.listing import Listing, stamp


class Streets(Reader):
    """Base of readers with an image in colour and a map `labels`, a class number per pixel, 255 where it is ignored.

    class_map: how raw ids are read, see `readers.class_maps`, by default the reader's own; classes: the set of classes;
    order: of the classes, that of other data in the same set.
    A subclass yields its folders in `pairs` and says in `label_path` where an image's label map is.
    """

    channels = 3
    maps = ("labels",)
    default_map: ClassVar[str]
    allowed_splits = ("train", "val", "test")

    def __init__(self, root: Path, factor: list[str], split: str | None, skip_bad: bool = False,
                 class_map: str | None = None, classes: str = "street11", order: tuple[str, ...] = ()):
        super().__init__(root, factor, split, skip_bad)
        self.class_map: ClassMap = load_class_map(class_map or self.default_map, classes, order)
        self.classes = self.class_map.classes

    @property
    def rule(self) -> str:
        return self.class_map.key

    def pairs(self) -> Iterator[tuple[Path, Path, str]]:
        """Yield folders of images, the folder of their label maps, and the split they are."""
        raise NotImplementedError

    def label_path(self, image: Path, folder: Path) -> Path:
        """Return where an image's label map is in their folder."""
        return folder / f"{image.stem}.png"

    def fill(self, listing: Listing) -> None:
        # Folder of images -> that of their label maps.
        self.folders: dict[str, Path] = {}
        for images, labels, split in self.pairs():
            self.folders[str(images)] = labels
            wanted = set()
            for entry in scan(images, listing):
                label = self.label_path(Path(entry.path), labels)
                wanted.add(label.name)
                if not label.is_file():
                    listing.reject(entry.path, f"no label map beside it; looked for {label}")
                    continue
                name = f"{images.relative_to(self.root)}/{entry.name}"
                listing.add(name, (), [entry.path], [f"{stamp(entry)} {stamp(label)}"], split)
            for other in sorted(labels.iterdir()) if labels.is_dir() else ():
                if is_image(other.name) and self.is_label(other) and other.name not in wanted:
                    listing.reject(other, f"label map without an image in {images}")

    def copied(self, picture: Image.Image, source: str) -> Image.Image:
        # As large as the label map beside it.
        return picture.resize(open_colour(source).size, Image.Resampling.LANCZOS)

    def companions(self, sources: list[str]) -> list[Path]:
        return [self.label_of(source) for source in sources]

    def label_of(self, source: str) -> Path:
        """Return where the label map of an image that was listed is."""
        image = Path(source)
        return self.label_path(image, self.folders[str(image.parent)])

    def is_label(self, path: Path) -> bool:
        """Say whether a file in a folder of label maps is one, and not the same in another coding."""
        return True

    def prepare(self, source: str, size: Size) -> np.ndarray:
        """Resize the whole image (Lanczos) and its label map (nearest pixel)."""
        image, labels = open_colour(source), self.read_labels(self.label_of(source))
        if image.size != labels.size:
            raise BadImage(self.label_of(source), f"label map of {labels.width}x{labels.height} pixels for an image of "
                                                  f"{image.width}x{image.height} ({source})")
        labels = labels.resize(width_height(size), Image.Resampling.NEAREST)
        return np.concatenate([_resized(image, size), np.asarray(labels)[None]])

    def prepare_file(self, path: str | Path, size: Size) -> np.ndarray:
        return _resized(open_colour(path), size)

    def read_labels(self, path: Path) -> Image.Image:
        """Return the class numbers of a label map, as an image of mode L. Raises BadImage."""
        try:
            return Image.fromarray(self.class_map.classes_of(self.raw_ids(open_labels(path))))
        except ValueError as error:
            raise BadImage(path, str(error)) from None

    def raw_ids(self, pixels: np.ndarray) -> np.ndarray:
        """Return the raw ids uint8 (H, W) of a label map's pixels (H, W) or (H, W, 3)."""
        return self.class_map.ids_of(pixels)


def _resized(image: Image.Image, size: Size) -> np.ndarray:
    return np.asarray(image.resize(width_height(size), Image.Resampling.LANCZOS)).transpose(2, 0, 1)
