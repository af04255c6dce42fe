"""Render meshes for the reader `views`: images with alpha, cameras, point clouds, splits.

Each mesh is centred and scaled to a bounding box with a diagonal of 1, and seen from a distance of 2 through a lens of
60 mm, from random sides, under random lights. Stopped, it goes on where it was with the same command.
"""

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from errors import UserError, check_range, reason, run_script
from files import read_object, write_text
from readers.parallel import in_processes
from readers.splits import permuted_splits, splits_table
from rendering.meshes import SUFFIXES, find_meshes
from rendering.views import Recipe, render_model
from reporting.pictures import contact_sheet

NOTE, SHOWN = "views.json", 12


def main() -> None:
    arguments = parse()
    meshes, out = find_meshes(Path(arguments.meshes)), Path(arguments.out)
    recipe = Recipe(arguments.views, arguments.size, tuple(arguments.elevation), chosen(arguments.renderer),
                    arguments.seed, arguments.up)
    try:
        prepare(out, recipe)
        left = [(name, path, recipe, out) for name, path in meshes.items() if not (out / "views" / name).exists()]
        with closing(in_processes(one, [(*job, arguments.skip_bad) for job in left])) as found:
            for _, warned in tqdm(found, "rendering", len(left), unit="mesh", disable=None, delay=3):
                for text in warned:
                    tqdm.write(f"warning: {text}", file=sys.stderr)
        finish(out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from None


def one(name: str, path: Path, recipe: Recipe, out: Path, skip_bad: bool) -> tuple[str, list[str]]:
    """Render a mesh; one that cannot be is left out with `skip_bad`, and a warning says so."""
    try:
        return render_model(name, path, recipe, out)
    except UserError as error:
        if not skip_bad:
            raise UserError(f"{error}; --skip-bad leaves it out") from None
        return name, [f"{error}; left out"]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", metavar="MESHES", help=f"folder of meshes ({', '.join(SUFFIXES)}); folders below "
                        "count, and <name>/model.obj is called <name>")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make, the root of the dataset")
    parser.add_argument("--views", type=int, default=5, metavar="N", help="of each mesh (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, metavar="N", help="side in pixels (default: %(default)s)")
    parser.add_argument("--elevation", type=int, nargs=2, default=(-20, 39), metavar=("LEAST", "MOST"),
                        help="of cameras, degrees (default: -20 39)")
    parser.add_argument("--up", choices=("y", "z"), default="y", help="axis that points up in the files (default: y)")
    parser.add_argument("--renderer", choices=("auto", "opengl", "software"), default="auto",
                        help="auto: OpenGL where there is one")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of cameras, lights, points (default: 0)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out meshes that cannot be rendered")
    arguments = parser.parse_args()
    for name, least, most in (("views", 1, 1000), ("size", 16, 1024), ("seed", 0, 2**31)):
        check_range(f"--{name}", getattr(arguments, name), least, most)
    low, high = arguments.elevation
    if not -90 <= low <= high <= 90:
        raise UserError(f"--elevation: found {low} {high}; allowed: from -90 on, up to 90, the least first")
    return arguments


def chosen(wish: str) -> str:
    """Return the renderer that is wished for; UserError for OpenGL where there is none."""
    if wish == "software":
        return wish
    try:
        from rendering import opengl
        there = opengl.works()
    except ImportError:
        there = False
    if not there and wish == "opengl":
        raise UserError("--renderer opengl: there is no OpenGL; install moderngl and a driver with EGL (Debian: "
                        "libegl1 libgl1-mesa-dri), or take --renderer software")
    if not there:
        print("note: no OpenGL (moderngl, EGL); rendering without, which takes longer", file=sys.stderr)
    return "opengl" if there else "software"


def prepare(out: Path, recipe: Recipe) -> None:
    """Make the folder, or check that one which is there was begun with the same options."""
    note = out / NOTE
    if note.exists():
        try:
            begun = read_object(note)
        except (OSError, ValueError) as error:
            raise UserError(f"{note}: cannot be read: {reason(error)}; choose another folder") from None
        for key, value in recipe.note.items():
            if begun.get(key) != value:
                raise UserError(f"--out {out}: was begun with {key} {begun.get(key)}, now {value}; choose another "
                                "folder, or the same options")
    elif out.exists() and any(out.iterdir()):
        raise UserError(f"--out {out}: exists, and holds no views that were begun; choose another folder")
    for name in ("views", "points"):
        (out / name).mkdir(parents=True, exist_ok=True)
    write_text(note, json.dumps(recipe.note))


def finish(out: Path) -> None:
    """Write splits and the contact sheet of what is there."""
    names = sorted(path.name for path in (out / "views").iterdir() if not path.name.startswith("."))
    if not names:
        raise UserError(f"{out}: no mesh is left")
    write_text(out / "splits.csv", splits_table(permuted_splits(names).items()))
    shown = [names[i] for i in np.unique(np.linspace(0, len(names) - 1, SHOWN).round().astype(int))]
    contact_sheet(out / "contact_sheet.png", [
        np.stack([on_white(path) for path in sorted((out / "views" / name).glob("*.png"))[:10]]) for name in shown],
        shown, f"{len(names)} models")
    print(f"{out}: {len(names)} models; train on them with dataset.name = \"views\", dataset.root = \"{out}\"")


def on_white(path: Path) -> np.ndarray:
    image = Image.open(path)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "white"), image))[..., :3].transpose(2, 0, 1)


if __name__ == "__main__":
    run_script(main)
