"""Label maps' raw ids in the words of a common set of classes: tables in files, none of them in code."""

import csv
import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from errors import UserError, choice_error
from files import read_text

IGNORE = 255
# What the sky is called in the tables of sources that have no id for it.
HIDDEN_SKY = "sky (unlabeled up to the top row)"
MAPS, SETS = Path(__file__).parent / "class_maps", Path(__file__).parent / "class_sets"
# Of classes without a colour of their own: Okabe and Ito's, told apart by colour-blind readers.
COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233), (240, 228, 66))
_BYTE, _UNKNOWN = range(256), -1


@dataclass(frozen=True)
class ClassMap:
    """How one source codes its label maps, and which class each raw id is.

    name: of the source version; classes: names of the common classes 0, 1, ...; colours: uint8 (classes, 3) for
    pictures; to_class: int16 (256,), raw id -> class, 255 where it is ignored, -1 where the map says nothing;
    codes: int64 (n,) and ids: uint8 (n,), RGB as one number and the raw id it stands for, sorted by code; sky: id of
    the row that is named `HIDDEN_SKY`, None where there is none.
    """

    name: str
    classes: tuple[str, ...]
    colours: np.ndarray
    to_class: np.ndarray
    codes: np.ndarray
    ids: np.ndarray
    sky: int | None = None

    @property
    def key(self) -> str:
        """Return what changes when the map does."""
        parts = (np.array([self.name, *self.classes, str(self.sky)]), self.to_class, self.codes, self.ids)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def ids_of(self, pixels: np.ndarray) -> np.ndarray:
        """Return raw ids uint8 (H, W) of a label map: ids as they are (H, W), or colours uint8 (H, W, 3).

        Where the map has all of the colours they are these, else ids in red, with ValueError where green or blue is not
        zero everywhere.
        """
        if pixels.ndim == 2:
            return pixels
        code = pixels.astype(np.int64) @ np.array([65536, 256, 1])
        where = np.searchsorted(self.codes, code).clip(max=max(len(self.codes) - 1, 0))
        known = self.codes[where] == code if len(self.codes) else np.zeros(code.shape, bool)
        if known.all():
            return self.ids[where]
        if not pixels[..., 1:].any():
            return pixels[..., 0]
        colour = tuple(pixels[~known][0].tolist())
        raise ValueError(f"colour {colour} is not in class map '{self.name}'")

    def classes_of(self, ids: np.ndarray) -> np.ndarray:
        """Return class numbers uint8 (H, W) of raw ids, 255 where they are ignored. Raises ValueError for unknown ones.
        """
        classes = self.to_class[ids]
        if (classes == _UNKNOWN).any():
            unknown = sorted(set(np.unique(ids[classes == _UNKNOWN]).tolist()))
            raise ValueError(f"id {', '.join(map(str, unknown))} is not in class map '{self.name}'")
        return classes.astype(np.uint8)


def load_class_map(name: str, classes: str, order: tuple[str, ...] = ()) -> ClassMap:
    """Return the class map of a source version into a set of classes.

    name: of a file in `readers/class_maps`, or the path of one of the same kind: a table with columns `id`, `name`, one
    for each set of classes (the name of the class, or `ignore`), and, where label maps are coloured, `red`, `green`,
    `blue`; classes: name of such a column. Order and colours of the classes are in `readers/class_sets`, or follow
    from the column; order: another map's classes into the same set, which then have the numbers that they have there.
    Raises UserError for a file that is absent, not such a table, has a hole, or a class that `order` has not.
    """
    path = MAPS / f"{name}.csv" if "/" not in name and not name.endswith(".csv") else Path(name)
    known = sorted(file.stem for file in MAPS.glob("*.csv"))
    if not path.is_file():
        raise choice_error("dataset.class_map", name, [*known, "the path of a .csv file"])
    rows = _table(path, ("id", "name", classes))
    where = f"{path}: column {classes}"
    names, colours = _class_set(classes, [row[classes] for row in rows.values()], path, order)
    to_class = np.full(256, _UNKNOWN, np.int16)
    for number, row in rows.items():
        if row[classes] not in (*names, "ignore"):
            raise choice_error(f"{where}, id {number}", row[classes], [*names, "ignore"])
        to_class[number] = IGNORE if row[classes] == "ignore" else names.index(row[classes])
    coded = sorted((code, number) for number, row in rows.items() if (code := _colour_code(row, path)) is not None)
    for (code, one), (other, two) in pairwise(coded):
        if code == other and to_class[one] != to_class[two]:
            raise UserError(f"{where}: ids {one} and {two} are different classes of the same colour, "
                            f"{' '.join(map(str, code.to_bytes(3)))}")
    codes, ids = (np.array([pair[k] for pair in coded], kind) for k, kind in enumerate((np.int64, np.uint8)))
    sky = next((number for number, row in rows.items() if row["name"] == HIDDEN_SKY), None)
    return ClassMap(path.stem, names, colours, to_class, codes, ids, sky)


def _class_set(name: str, used: list[str], source: Path,
               order: tuple[str, ...]) -> tuple[tuple[str, ...], np.ndarray]:
    """Return names and colours of a set of classes: those of its file, or else those that a map uses, in its order or
    in that of another."""
    path = SETS / f"{name}.csv"
    if not path.is_file():
        names = tuple(dict.fromkeys(each for each in used if each != "ignore"))
        if not names:
            raise UserError(f"{source}: column {name}: every id is ignored; expected at least one class")
        for other in names if order else ():
            if other not in order:
                raise choice_error(f"{source}: column {name}, of the classes that the training data have", other,
                                   [*order, "ignore"])
        names = order or names
        # Further rounds are darker.
        rounds, place = np.divmod(np.arange(len(names)), len(COLOURS))
        return names, (np.array(COLOURS)[place] * 0.75 ** rounds[:, None]).astype(np.uint8)
    rows = _table(path, ("id", "class", "red", "green", "blue"))
    if list(rows) != list(range(len(rows))):
        raise UserError(f"{path}: ids {', '.join(map(str, rows))}; expected 0, 1, 2, ... without a hole")
    colours = [list(_colour_code(row, path).to_bytes(3)) for row in rows.values()]
    return tuple(row["class"] for row in rows.values()), np.array(colours, np.uint8)


def _table(path: Path, columns: tuple[str, ...]) -> dict[int, dict[str, str]]:
    """Return id -> row of a table that has such columns, none of their cells empty."""
    try:
        lines = list(csv.DictReader(read_text(path).splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not readable as a table: {error}") from None
    for column in columns:
        if not lines or column not in lines[0]:
            raise choice_error(f"{path}: column", column, lines[0] if lines else [])
    rows: dict[int, dict[str, str]] = {}
    for number, row in enumerate(lines, 2):
        empty = [column for column in columns if not (row[column] or "").strip()]
        if empty:
            raise UserError(f"{path}, line {number}: column {empty[0]} is empty; expected a class or 'ignore'")
        if not row["id"].isdecimal() or int(row["id"]) not in _BYTE or int(row["id"]) in rows:
            raise UserError(f"{path}, line {number}: id '{row['id']}'; expected a number from 0 to 255, each once")
        rows[int(row["id"])] = row
    return rows


def _colour_code(row: dict[str, str], path: Path) -> int | None:
    """Return the colour of a row as one number, None where it has none."""
    parts = [(row.get(channel) or "").strip() for channel in ("red", "green", "blue")]
    if not any(parts):
        return None
    if not all(part.isdecimal() and int(part) in _BYTE for part in parts):
        raise UserError(f"{path}: id {row['id']}: colour {' '.join(parts)}; expected red, green, blue from 0 to 255")
    red, green, blue = map(int, parts)
    return red * 65536 + green * 256 + blue
