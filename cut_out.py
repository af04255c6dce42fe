"""Cut objects out of photographs, for a translation: RGBA images whose frames are as large as rendered ones' are.

Masks come from Mask R-CNN, trained on COCO, or from files (--masks). What is cropped, hidden, small or grey is left
out; each threshold is an option, the default is that of "Annotation Invariant Style Transfer". With --like, frames are
padded until the ratio of object to background follows the normal distribution fitted to rendered images.

The new folder holds the cut-outs in cut_outs/, `cut_outs.csv`, `rejected.csv` (what was left out and why), a contact
sheet of each, and the figure of frame ratios before and after.
"""

import argparse
import os
import tempfile
from collections import Counter
from contextlib import closing
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from errors import UserError, check_range, run_script
from evaluation.image_folder import find
from files import write_text
from readers.parallel import in_processes
from reporting.formats import comma_separated
from reporting.frame_ratios import describe, draw_ratios
from reporting.pictures import pair_sheet, sample_sheet
from translation.cut_outs import LEAST_RATIO, Filters, Normal, fit
from translation.cutting import Kept, Photo, Recipe, Rejected, cut_photo, rejected_view, rendered_ratio

# Pictures on the contact sheets: in all, and of each reason, in the order that reasons are frequent in.
SHOWN, SHOWN_EACH, REASONS, SIDE = 60, 10, 10, 128
GREY = 160


def main() -> None:
    arguments = parse()
    out = Path(arguments.out).resolve()
    check(arguments, out)
    photos = list_photos(arguments)
    values = {field.name: getattr(arguments, field.name) for field in fields(Filters)}
    filters = Filters(**values | {"classes": tuple(arguments.classes)})
    rendered = ratios_of(Path(arguments.like)) if arguments.like else np.zeros(0)
    normal = fit(rendered) if arguments.like else Normal(*arguments.ratio) if arguments.ratio else None
    if normal is not None and normal.mean < LEAST_RATIO:
        raise UserError(f"frame ratios with a mean of {normal.mean:.4f}; allowed: {LEAST_RATIO} or more")
    recipe = Recipe(filters, normal, arguments.redraws, arguments.size, arguments.seed, arguments.mask_threshold)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
            photos = with_objects(photos, arguments, Path(temporary) / "objects")
            folder = Path(temporary) / out.name
            (folder / "cut_outs").mkdir(parents=True)
            kept, rejected = cut_all(photos, recipe, folder / "cut_outs")
            describe_all(folder, photos, kept, rejected, rendered, recipe)
            os.rename(folder, out)
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written: {error.strerror or error}") from None
    print(summary(kept, rejected, rendered), end="")


def parse() -> argparse.Namespace:
    default = Filters()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", metavar="PHOTOS", help="folder of photographs; folders below count")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder to make; must not be there")
    masks = parser.add_argument_group("where objects are").add_mutually_exclusive_group()
    masks.add_argument("--masks", metavar="DIR", help="mask files named as the photos (grey, or the alpha of RGBA), in "
                       "place of a network; --classes and --confidence do not apply")
    masks.add_argument("--weights", metavar="FILE", help="of Mask R-CNN (default: torchvision's COCO weights)")
    parser.add_argument("--mask-threshold", type=int, default=128, metavar="N",
                        help="pixels of a mask file from N on, of 255, are the object's (default: %(default)s)")
    parser.add_argument("--detections", metavar="DIR", help="keep what the network finds in files here, and use those "
                        "that are there: for other thresholds, or after a stop")
    parser.add_argument("--device", default="auto", help="of the network: auto, cpu, cuda, cuda:N (default: auto)")
    group = parser.add_argument_group("what is left out")
    group.add_argument("--classes", nargs="+", default=list(default.classes), metavar="NAME",
                       help="classes of COCO to keep (default: car truck)")
    for name, kind, text in (("confidence", float, "least confidence in the class"),
                             ("box-side", float, "least root of the box's area, pixels"),
                             ("fill", float, "least part of the box that the mask covers"),
                             ("grey", int, "a photo is grey where its channels differ nowhere by more than N of 255"),
                             ("components", int, "most parts of a mask, 8-connected"),
                             ("border-width", float, "width of the strips along borders, as a part of the side"),
                             ("border-cover", float, "most of any such strip that the mask may cover")):
        value = getattr(default, name.replace("-", "_"))
        group.add_argument(f"--{name}", type=kind, default=value, metavar="N", help=f"{text} (default: {value:.3g})")
    group.add_argument("--border-of", choices=("box", "photo"), default="box",
                       help="whose borders: the object's box, as in the source, or the photo (default: box)")
    group = parser.add_argument_group("the cut-outs")
    ratio = group.add_mutually_exclusive_group()
    ratio.add_argument("--like", metavar="DIR", help="folder of rendered RGBA images, whose frame ratios are fitted")
    ratio.add_argument("--ratio", type=float, nargs=2, metavar=("MEAN", "STD"),
                       help="the normal distribution of frame ratios; without this and --like, frames are the boxes, "
                            "made square")
    group.add_argument("--redraws", type=int, default=10, metavar="N",
                       help="draw a ratio so often again while the frame is too large for it (default: %(default)s)")
    group.add_argument("--size", type=int, default=128, metavar="N", help="side in pixels (default: %(default)s)")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of ratios and odd pixels (default: 0)")
    return parser.parse_args()


def check(arguments: argparse.Namespace, out: Path) -> None:
    """Refuse options that cannot be, before anything is read."""
    for name, least, most in (("mask_threshold", 1, 255), ("confidence", 0, 1), ("box_side", 0, 10**6), ("fill", 0, 1),
                              ("grey", -1, 255), ("components", 1, 10**6), ("border_width", 0, 0.5),
                              ("border_cover", 0, 1), ("redraws", 0, 1000), ("size", 8, 4096), ("seed", 0, 2**63)):
        check_range(f"--{name.replace('_', '-')}", getattr(arguments, name), least, most)
    if arguments.ratio and not (LEAST_RATIO <= arguments.ratio[0] <= 100 and 0 <= arguments.ratio[1] <= 100):
        raise UserError("--ratio: found {:g} {:g}; allowed: a mean of {:g} to 100, a deviation of 0 to 100".format(
            *arguments.ratio, LEAST_RATIO))
    if os.path.lexists(out):
        raise UserError(f"--out: {out} exists already; remove it or choose another folder")
    if arguments.masks and arguments.detections:
        raise UserError("--detections: does not apply with --masks, where no network is asked")


def list_photos(arguments: argparse.Namespace) -> list[Photo]:
    """Return the photos by name, with their mask files where those are given; UserError for one without."""
    root = Path(arguments.photos)
    found: dict[str, Photo] = {}
    masks = {file.relative_to(arguments.masks).with_suffix(""): file
             for file in find(Path(arguments.masks), None, 0)} if arguments.masks else {}
    for file in find(root, None, 0):
        place = file.relative_to(root).with_suffix("")
        name = "_".join(place.parts)
        if name in found:
            raise UserError(f"{found[name].file} and {file}: both would become {name}.png; rename one")
        if masks and place not in masks:
            raise UserError(f"{file}: no mask; looked for {Path(arguments.masks) / place}.png, or of another format")
        found[name] = Photo(name, file, masks.get(place, Path()))
    return list(found.values())


def with_objects(photos: list[Photo], arguments: argparse.Namespace, temporary: Path) -> list[Photo]:
    """Return the photos with files of their objects: those given, or what the network finds."""
    if arguments.masks:
        return photos
    from translation.instances import Detector, check_classes, find_instances
    from utils import choose_device

    check_classes(arguments.classes)
    detector = Detector(Path(arguments.weights) if arguments.weights else None, choose_device(arguments.device))
    folder = Path(arguments.detections) if arguments.detections else temporary
    folder.mkdir(parents=True, exist_ok=True)
    photos = [Photo(photo.name, photo.file, folder / f"{photo.name}.npz") for photo in photos]
    find_instances(photos, detector)
    return photos


def ratios_of(folder: Path) -> np.ndarray:
    """Return the frame ratios of the rendered images in a folder and those below (n,)."""
    jobs = [(file,) for file in find(folder, None, 0)]
    with closing(in_processes(rendered_ratio, jobs)) as found:
        # Sums depend on their order.
        return np.sort(list(tqdm(found, "rendered images", len(jobs), unit="image", disable=None, delay=3)))


def cut_all(photos: list[Photo], recipe: Recipe, folder: Path) -> tuple[list[Kept], list[Rejected]]:
    """Write all cut-outs into a folder; return what became of the objects, by photo. UserError where none is left."""
    jobs = [(photo, recipe, folder) for photo in photos]
    with closing(in_processes(cut_photo, jobs)) as found:
        rows = [row for part in tqdm(found, "cutting out", len(jobs), unit="photo", disable=None, delay=3)
                for row in part]
    kept = sorted((row for row in rows if isinstance(row, Kept)), key=lambda row: row.file)
    rejected = sorted((row for row in rows if isinstance(row, Rejected)), key=lambda row: (row.file, str(row.number)))
    if not kept:
        row = rejected[0]
        raise UserError(f"no cut-out is left, of {len(photos)} photo(s); left out: {reasons(rejected)}; as {row.file}: "
                        f"{row.reason}: found {row.found}; allowed: {row.allowed}")
    return kept, rejected


def describe_all(folder: Path, photos: list[Photo], kept: list[Kept], rejected: list[Rejected], rendered: np.ndarray,
                 recipe: Recipe) -> None:
    """Write tables and pictures of the cut-outs beside them."""
    for name, kind, rows in (("cut_outs", Kept, kept), ("rejected", Rejected, rejected)):
        table = comma_separated([field.name for field in fields(kind)], map(astuple, rows))
        write_text(folder / f"{name}.csv", table)
    before, after = (np.array([getattr(row, name) for row in kept]) for name in ("ratio_before", "ratio_after"))
    draw_ratios(folder / "frame_ratios", before, after, rendered,
                (recipe.normal.mean, recipe.normal.std) if recipe.normal and recipe.normal.std else None)
    chosen = spread(kept, SHOWN)
    sample_sheet(folder / "contact_sheet.png", np.stack([on_grey(folder / "cut_outs" / row.file) for row in chosen]),
                 [f"{row.ratio_after:.2f}" for row in chosen],
                 f"{len(chosen)} of {len(kept)} cut-outs, on grey; above each its frame ratio")
    if not rejected:
        return
    by_file, rows = {str(photo.file): photo for photo in photos}, {}
    for reason, count in Counter(row.reason for row in rejected).most_common(REASONS):
        examples = spread([row for row in rejected if row.reason == reason], SHOWN_EACH)
        views = [rejected_view(by_file[row.file], row.number, recipe.mask_threshold, SIDE) for row in examples]
        rows[f"{reason}\n({count})"] = np.stack(views), [row.found.partition(" of the ")[0] for row in examples]
    pair_sheet(folder / "rejected.png", rows, f"{len(rejected)} objects were left out, by reason (how many); above "
                                              "each what was found")


def spread(rows: list, most: int) -> list:
    """Return at most so many rows, evenly spread over all."""
    return [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]


def on_grey(file: Path) -> np.ndarray:
    """Return a cut-out on grey, uint8 (3, H, W)."""
    with Image.open(file) as image:
        pixels = np.asarray(image)
    return np.where(pixels[..., 3:] > 0, pixels[..., :3], np.uint8(GREY)).transpose(2, 0, 1)


def reasons(rejected: list[Rejected]) -> str:
    counts = Counter(row.reason for row in rejected)
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "nothing"


def summary(kept: list[Kept], rejected: list[Rejected], rendered: np.ndarray) -> str:
    """Return lines on how many objects there are, and their frame ratios: mean ± deviation (n)."""
    lines = [f"{len(kept)} cut-outs; left out: {reasons(rejected)}"]
    for name, values in (("before", [row.ratio_before for row in kept]), ("after", [row.ratio_after for row in kept]),
                         ("rendered", rendered)):
        finite = np.array([value for value in values if np.isfinite(value)])
        lines += [f"frame ratio {name}: {describe(finite)}"] if len(finite) else []
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_script(main)
