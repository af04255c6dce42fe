"""Which stand-ins there are, which options each takes, and how one is written."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from errors import UserError, choice_error
from standin import arm, digits, vehicles
from standin.store import Job, draw_all, new_folder


@dataclass(frozen=True)
class Kind:
    """A dataset that can be stood in for.

    folder: its name; defaults: the options that apply to it with their defaults; least: fewest sceneries;
    lay_out: makes its folders and returns the jobs that draw its images, called with the folder, the seed and the
    options by name; None for mpi3d, which is one stream per file; also: other names under which its reader looks.
    """

    folder: str
    defaults: dict[str, object]
    least: int = 2
    lay_out: Callable[..., list[Job]] | None = None
    also: tuple[str, ...] = ()


KINDS = {
    "sviro": Kind("SVIRO", {"sceneries": 2500, "factors": ["tesla"], "gap": 0.0}, lay_out=vehicles.sviro),
    "sviro_illumination": Kind(
        "SVIRO-Illumination", {"sceneries": 500, "variants": 10, "factors": ["kodiaq"], "gap": 0.0},
        lay_out=vehicles.sviro_illumination),
    "sviro_nocar": Kind(
        "SVIRO-NoCar", {"sceneries": vehicles.NOCAR_ALL, "variants": 10, "gap": 0.0},
        lay_out=vehicles.sviro_nocar, also=("SEATS_AND_PEOPLE_NOCAR", "seats_and_people_nocar")),
    "ticam": Kind("TICaM", {"sceneries": 6678, "gap": 1.0, "depth": 16}, lay_out=vehicles.ticam),
    "mpi3d": Kind("MPI3D", {"factors": list(arm.DOMAINS), "gap": None, "steps": arm.AXES}),
    "mnist": Kind("MNIST", {"sceneries": 70000}, lay_out=digits.mnist, also=("raw", "mnist")),
    "digit_photos": Kind("digit_photos", {"sceneries": 1000}, least=10, lay_out=digits.digit_photos),
}
# What the options are called on the command line.
FLAGS = {"sceneries": "--sceneries", "variants": "--variants", "factors": "--factor", "gap": "--gap",
         "depth": "--depth", "steps": "--steps"}


def write_standin(
    name: str,
    root: str | Path,
    sceneries: int | None = None,
    variants: int | None = None,
    factors: list[str] | None = None,
    gap: float | None = None,
    seed: int = 0,
    depth: int | None = None,
    steps: int | None = None,
) -> Path:
    """Draw a stand-in of a dataset below `root`, in the layout that its reader expects; returns its folder.

    Every option that is None takes the dataset's default (`KINDS`). sceneries: how many, per car where there are cars;
    variants: images per scenery; factors: cars, or domains of mpi3d; gap: in [0, 1], from a clean rendered look to a
    real one; depth: bits per pixel, 8 or 16; steps: positions of each of mpi3d's axes. The same arguments give the
    same bytes, whatever the number of processes. Raises UserError for an unknown dataset, for an option that does not
    apply or is out of range, and where the dataset's folder exists, which is left as it is.
    """
    if name not in KINDS:
        raise choice_error("--dataset", name, KINDS)
    kind = KINDS[name]
    given = {"sceneries": sceneries, "variants": variants, "factors": factors, "gap": gap, "depth": depth,
             "steps": steps}
    options = _options(name, kind, {key: value for key, value in given.items() if value is not None})
    if seed < 0:
        raise UserError(f"--seed: found {seed}; allowed: 0 and above")
    root = Path(root).resolve()
    _refuse_to_shadow(root, kind)
    with new_folder(root / kind.folder) as folder:
        if kind.lay_out is None:
            for domain in options["factors"]:
                width = arm.DOMAINS[domain] if options["gap"] is None else options["gap"]
                arm.write_domain(folder / f"{domain}.npz", domain, width, options["steps"], seed)
        else:
            jobs = kind.lay_out(folder, seed=seed, **options)
            images = options["sceneries"] * options.get("variants", 1) * len(options.get("factors", [name]))
            draw_all(jobs, images, name)
        # Beside the folder, in which other programs may take every entry for a part of the dataset.
        notice_of(root / kind.folder).write_text(_notice(name, options, seed), encoding="utf-8")
    return root / kind.folder


def notice_of(folder: Path) -> Path:
    """Return the file that says that a dataset's folder is a stand-in."""
    return folder.with_name(f"{folder.name}.STAND-IN.txt")


def _options(name: str, kind: Kind, given: dict[str, object]) -> dict[str, object]:
    """Return the options to draw with; UserError for one that does not apply or is out of range."""
    for key in given:
        if key not in kind.defaults:
            allowed = ", ".join(FLAGS[option] for option in kind.defaults)
            raise UserError(f"{FLAGS[key]}: does not apply to {name}; what applies: {allowed}")
    options = {**kind.defaults, **given}
    for key, least, most in (("sceneries", kind.least, math.inf), ("variants", 1, math.inf), ("gap", 0, 1),
                             ("steps", 1, arm.AXES)):
        value = options.get(key)
        if value is not None and not least <= value <= most:
            allowed = f"{least} to {most}" if most < math.inf else f"{least} and above"
            raise UserError(f"{FLAGS[key]}: found {value}; allowed for {name}: {allowed}")
    if options.get("depth", 8) not in (8, 16):
        raise UserError(f"--depth: found {options['depth']}; allowed: 8, 16")
    if "factors" in options:
        options["factors"] = _factors(name, options["factors"])
    return options


def _factors(name: str, factors: list[str]) -> list[str]:
    """Return the parts without duplicates; UserError for one that is not known or makes no folder."""
    for factor in factors:
        if name == "mpi3d" and factor not in arm.DOMAINS:
            raise choice_error("--factor", factor, arm.DOMAINS)
        if not factor or factor.startswith(".") or "/" in factor or "\0" in factor:
            raise UserError(f"--factor: '{factor}' cannot be a folder's name")
    if not factors:
        raise UserError(f"--factor: none found; {name} needs one at least")
    return list(dict.fromkeys(factors))


def _refuse_to_shadow(root: Path, kind: Kind) -> None:
    """Refuse to write where a reader would find the stand-in in place of what lies there."""
    names = (kind.folder, *kind.also)
    if root.name in names and root.is_dir():
        raise UserError(f"--out: {root} looks like the real download; name the folder that is to hold {kind.folder}")
    for name in kind.also:
        if (root / name).exists():
            raise UserError(f"--out: {root / name} exists already and may be the real download; choose another folder")


def _notice(name: str, options: dict[str, object], seed: int) -> str:
    shown = {FLAGS[key]: " ".join(value) if isinstance(value, list) else value for key, value in options.items()
             if value is not None}
    lines = [
        f"This is a drawn stand-in of {name}, not the dataset.",
        "It has the dataset's layout and names, so that code and configs can be tried before the download.",
        "No figure measured on it says anything about the real data.",
        "",
        "drawn with:",
        f"  --dataset {name}",
        *(f"  {flag} {value}" for flag, value in shown.items()),
        f"  --seed {seed}",
    ]
    return "\n".join(lines) + "\n"
