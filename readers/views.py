"""Views of models from all around, with poses and clouds: what `render_views.py` writes, and the published ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from errors import UserError, reason
from files import open_regular, read_text
from readers.alpha import AlphaImages, layers_of
from readers.base import BadImage, Size, choose_parts, find_folder, subfolders
from readers.cameras import Camera, look_at, read_cameras
from readers.images import open_rgba, scan
from readers.listing import Listing
from readers.splits import SPLITS, checked_splits, permuted_splits, read_splits, splits_table


class PosedViews(AlphaImages):
    """Base of readers of views: a scenery is a model, its variants are its views."""

    default_split = "train"

    def camera(self, source: str) -> Camera:
        """Return the camera of a view. Raises BadImage."""
        raise NotImplementedError

    def cloud(self, model: str) -> np.ndarray | None:
        """Return points float64 (n, 3) of a model in the axes that cameras refer to, None without a file of them.

        Raises BadImage for a file with something else.
        """
        raise NotImplementedError

    def prepare(self, source: str, size: Size) -> np.ndarray:
        image = open_rgba(source)
        if image.width != image.height:
            raise BadImage(source, f"view of {image.width}x{image.height} pixels; allowed: square ones")
        return layers_of(image, size, source)


class Views(PosedViews):
    """`<root>/views/<model>/*.png` and `.../cameras.json`; `<root>/points/<model>.npy` and `<root>/splits.csv` or not.

    factor: models by what their names have before the first `_`. Without splits.csv, splits are a permutation of all.
    """

    name = "views"

    def fill(self, listing: Listing) -> None:
        self.check_split()
        models = [path.name for path in subfolders(find_folder(self, [self.root / "views"]), "model")]
        table = self.root / "splits.csv"
        splits = self.split_of = read_splits(table) if table.exists() else permuted_splits(models)
        for absent in sorted(splits.keys() - set(models)):
            listing.reject(self.root / "views" / absent, f"no such folder, but {table} names the model")
        self.check_factor(sorted({_kind(model) for model in models}), f"models in {self.root / 'views'}")
        for model in models:
            if model not in splits:
                listing.drop(f"not in {table.name}", self.root / "views" / model)
            elif self.wants(splits[model]) and (not self.factor or _kind(model) in self.factor):
                self._add(listing, model, splits[model])

    def _add(self, listing: Listing, model: str, split: str) -> None:
        folder = self.root / "views" / model
        try:
            cameras = read_cameras(folder / "cameras.json")
        except BadImage as error:
            listing.reject(error.source, error.problem)
            return
        views = []
        for entry in scan(folder, listing):
            if entry.name in cameras:
                views.append(entry)
            else:
                listing.reject(entry.path, f"a view without a pose in {folder / 'cameras.json'}")
        if views:
            listing.add_files(model, (), views, split)

    def companions(self, sources: list[str]) -> list[Path]:
        folders = sorted({Path(source).parent for source in sources})
        clouds = [self.root / "points" / f"{folder.name}.npy" for folder in folders]
        return [*(folder / "cameras.json" for folder in folders), *(cloud for cloud in clouds if cloud.exists())]

    def tables(self, names: list[str], splits: list[str]) -> dict[str, str]:
        return {"splits.csv": splits_table(zip(names, splits, strict=True))}

    def camera(self, source: str) -> Camera:
        return read_cameras(Path(source).with_name("cameras.json"))[Path(source).name]

    def cloud(self, model: str) -> np.ndarray | None:
        path = self.root / "points" / f"{model}.npy"
        return _points(path, lambda file: np.load(file, allow_pickle=False)) if path.exists() else None


def _kind(model: str) -> str:
    return model.partition("_")[0]


class ShapeNetViews(PosedViews):
    """The published renderings of ShapeNet: `<root>/renders/<synset>/<model>/render_*.png` with `camera_*.mat`,
    `<root>/gt/downsampled/<synset>/<model>.mat`, `<root>/splits/<synset>_<split>.txt` or not; factor: the synsets.

    Of each model the first five views by name; the camera's number is the view's.
    """

    name = "shapenet_views"
    splits_by_place = True
    views = 5

    def fill(self, listing: Listing) -> None:
        self.check_split()
        renders = find_folder(self, [self.root / "renders"])
        for synset in choose_parts(self, renders, "synset"):
            models = [path.name for path in subfolders(renders / synset, "model")]
            splits = self._splits(synset, models)
            self.split_of |= {f"{synset}/{model}": split for model, split in splits.items()}
            for model in models:
                if self.wants(splits.get(model)):
                    self._add(listing, f"{synset}/{model}", splits[model])

    def _splits(self, synset: str, models: list[str]) -> dict[str, str]:
        folder, pairs = self.root / "splits", []
        there = {split: path for split in SPLITS if (path := folder / f"{synset}_{split}.txt").is_file()}
        for split, path in there.items():
            try:
                pairs += [(line.rpartition("/")[2].strip(), split) for line in read_text(path).splitlines()
                          if line.strip()]
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: cannot be read: {reason(error)}") from None
        return checked_splits(pairs, folder) if there else permuted_splits(models)

    def _add(self, listing: Listing, model: str, split: str) -> None:
        entries = [entry for entry in scan(self.root / "renders" / model, listing) if entry.name.startswith("render_")]
        views = []
        for entry in entries[: self.views]:
            camera = _mat_of(entry.path)
            if camera.is_file():
                views.append(entry)
            else:
                listing.reject(entry.path, f"a view without a pose; looked for {camera}")
        if views:
            listing.add_files(model, (), views, split)

    def companions(self, sources: list[str]) -> list[Path]:
        models = sorted({Path(source).parent.relative_to(self.root / "renders") for source in sources})
        clouds = [self._cloud_of(str(model)) for model in models]
        return [*map(_mat_of, sources), *(cloud for cloud in clouds if cloud.exists())]

    def tables(self, names: list[str], splits: list[str]) -> dict[str, str]:
        texts: dict[str, str] = {}
        for name, split in zip(names, splits, strict=True):
            synset, _, model = name.partition("/")
            texts.setdefault(file := f"splits/{synset}_{split}.txt", "")
            texts[file] += f"{model}\n"
        return texts

    def camera(self, source: str) -> Camera:
        path = _mat_of(source)
        position = _mat(path, "pos").reshape(-1)
        length = np.linalg.norm(position)
        if position.shape != (3,) or not 0.5 < length < np.inf:
            raise BadImage(path, f"pos {position.tolist()}; expected where the camera is, three numbers")
        return Camera(look_at(position[None])[0], distance=float(length))

    def cloud(self, model: str) -> np.ndarray | None:
        path = self._cloud_of(model)
        return _points(path, lambda _: _mat(path, "points")) if path.exists() else None

    def _cloud_of(self, model: str) -> Path:
        return self.root / "gt" / "downsampled" / f"{model}.mat"


def _mat_of(source: str) -> Path:
    path = Path(source)
    return path.with_name(path.stem.replace("render_", "camera_", 1) + ".mat")


def _mat(path: Path, name: str) -> np.ndarray:
    """Return an array of real numbers of a MATLAB file; BadImage where it holds none of this name."""
    from scipy.io import loadmat

    try:
        with open_regular(path) as file:
            return np.asarray(loadmat(file, variable_names=[name])[name], dtype=np.float64)
    # A damaged file makes the parser raise nearly anything.
    except Exception as error:
        raise BadImage(path, f"holds no {name} that can be read: {error}") from None


def _points(path: Path, load: Callable[..., np.ndarray]) -> np.ndarray:
    try:
        with open_regular(path) as file:
            points = np.asarray(load(file))
    except UserError:
        raise
    except Exception as error:
        raise BadImage(path, f"cloud cannot be read: {error}") from None
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or points.dtype.kind not in "iuf":
        raise BadImage(path, f"cloud of {points.dtype} {points.shape}; expected numbers (points, 3)")
    if not np.isfinite(points).all():
        raise BadImage(path, "cloud holds values that are not finite")
    return points.astype(np.float64)
