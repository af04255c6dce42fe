"""Which stand-ins there are, which options each takes, and how one is written."""

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from errors import UserError, check_range, choice_error
from standin import arm, digits, shapes, streets, vehicles


@dataclass(frozen=True)
class Kind:
    """A dataset that can be stood in for.

    folder: its name; draw: makes a folder and fills it, called with the folder, the seed and the options by name, and
    yields how many images were drawn since it last did; defaults: the options that apply to it with their defaults;
    least: fewest sceneries; also: other names under which its reader looks.
    """

    folder: str
    draw: Callable[..., Iterator[int]]
    defaults: dict[str, object]
    least: int = 2
    also: tuple[str, ...] = ()


KINDS = {
    "sviro": Kind("SVIRO", vehicles.sviro_family, {"sceneries": 2500, "factors": ["tesla"], "gap": 0.0}),
    "sviro_illumination": Kind("SVIRO-Illumination", vehicles.sviro_family,
                               {"sceneries": 500, "variants": 10, "factors": ["kodiaq"], "gap": 0.0}),
    "sviro_nocar": Kind("SVIRO-NoCar", vehicles.sviro_family,
                        {"sceneries": vehicles.NOCAR_ALL, "variants": 10, "gap": 0.0},
                        also=("SEATS_AND_PEOPLE_NOCAR", "seats_and_people_nocar")),
    "ticam": Kind("TICaM", vehicles.ticam, {"sceneries": 6678, "gap": 1.0}),
    "mpi3d": Kind("MPI3D", arm.mpi3d, {"factors": list(arm.DOMAINS), "gap": None, "steps": arm.AXES}),
    "mnist": Kind("MNIST", digits.mnist, {"sceneries": 70000}, also=("raw", "mnist")),
    "carla": Kind("CARLA", streets.carla, {"sceneries": 500, "factors": ["Town07"], "gap": 0.0}),
    "camvid": Kind("CamVid", streets.camvid, {"sceneries": 700, "gap": 1.0}, least=5),
    "cityscapes": Kind("cityscapes", streets.cityscapes, {"sceneries": 3475, "gap": 1.0}, least=5,
                       also=("leftImg8bit",)),
    "meshes": Kind("meshes", shapes.shapes, {"sceneries": 4, "factors": list(shapes.KINDS)}, least=1),
    "digit_photos": Kind("digit_photos", digits.digit_photos, {"sceneries": 1000}, least=10),
}


def write_standin(name: str, root: str | Path, seed: int = 0, **given: object) -> Path:
    """Draw a stand-in of a dataset below `root`, in the layout that its reader expects; returns its folder.

    An option that is None or not given takes the dataset's default (`KINDS`). sceneries: how many, per car where there
    are cars; variants: images per scenery; factors: cars, or domains of mpi3d; gap: in [0, 1], from a clean rendered
    look to a real one; steps: positions of each of mpi3d's axes. The same arguments give the same bytes, whatever the
    number of processes. Raises UserError for an unknown dataset, for an option that does not apply or is out of range,
    and where the dataset's folder exists, which is left as it is.
    """
    if name not in KINDS:
        raise choice_error("--dataset", name, KINDS)
    kind = KINDS[name]
    options = _options(name, kind, {key: value for key, value in given.items() if value is not None})
    check_range("--seed", seed, 0)
    root = Path(root).resolve()
    _refuse_to_shadow(root, kind)
    folder = root / kind.folder
    images = options.get("sceneries", math.prod(arm.FACTORS) * options.get("steps", 1) ** 2)
    images *= options.get("variants", 1) * len(options.get("factors", [name]))
    try:
        root.mkdir(parents=True, exist_ok=True)
        # Closing the generator ends its processes, so that an interrupted one writes nothing more.
        with (tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-") as temporary,
              closing(kind.draw(Path(temporary) / kind.folder, seed=seed, **options)) as counts,
              tqdm(total=images, desc=f"drawing {name}", unit="image", disable=None) as bar):
            for count in counts:
                bar.update(count)
            os.rename(Path(temporary) / kind.folder, folder)
        # Beside the folder, in which other programs may take every entry for a part of the dataset.
        notice_of(folder).write_text(_notice(name, options, seed), encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out: {folder} cannot be written: {error.strerror or error}") from None
    return folder


def notice_of(folder: Path) -> Path:
    """Return the file that says that a dataset's folder is a stand-in."""
    return folder.with_name(f"{folder.name}.STAND-IN.txt")


def flag(key: str) -> str:
    """Return what an option is called on the command line."""
    return "--factor" if key == "factors" else f"--{key}"


def _options(name: str, kind: Kind, given: dict[str, object]) -> dict[str, object]:
    """Return the options to draw with; UserError for one that does not apply or is out of range."""
    for key in given.keys() - kind.defaults.keys():
        raise UserError(f"{flag(key)}: does not apply to {name}; what applies: {', '.join(map(flag, kind.defaults))}")
    options = {**kind.defaults, **given}
    options |= {"factors": list(dict.fromkeys(options["factors"]))} if "factors" in options else {}
    for key, least, most in (("sceneries", kind.least, math.inf), ("variants", 1, math.inf), ("gap", 0, 1),
                             ("steps", 1, arm.AXES)):
        check_range(f"{flag(key)} of {name}", options.get(key), least, most)
    for factor in options.get("factors", []):
        if name == "mpi3d" and factor not in arm.DOMAINS:
            raise choice_error("--factor", factor, arm.DOMAINS)
        if name == "meshes" and factor not in shapes.KINDS:
            raise choice_error("--factor", factor, shapes.KINDS)
        if not factor or factor.startswith(".") or "/" in factor or "\0" in factor:
            raise UserError(f"--factor: '{factor}' cannot be a folder's name")
    return options


def _refuse_to_shadow(root: Path, kind: Kind) -> None:
    """Refuse to write where a reader would find the stand-in in place of what lies there."""
    if root.name in (kind.folder, *kind.also) and root.is_dir():
        raise UserError(f"--out: {root} looks like the real download; name the folder that is to hold {kind.folder}")
    for name in (kind.folder, *kind.also):
        if os.path.lexists(root / name):
            raise UserError(f"--out: {root / name} exists already and may be the real download; remove it or choose "
                            "another folder")


def _notice(name: str, options: dict[str, object], seed: int) -> str:
    drawn = "\n".join(f"  {flag(key)} {' '.join(value) if isinstance(value, list) else value}"
                      for key, value in {"dataset": name, **options, "seed": seed}.items() if value is not None)
    return (f"This is a drawn stand-in of {name}, not the dataset.\n"
            "It has the dataset's layout and names, so that code and configs can be tried before the download.\n"
            f"No figure measured on it says anything about the real data.\n\ndrawn with:\n{drawn}\n")
