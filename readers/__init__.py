"""Dataset readers, one per dataset; a new one is registered here."""

from pathlib import Path
from typing import Any

from errors import choice_error
from readers.base import Reader
from readers.camvid import CamVid
from readers.carla import Carla
from readers.cityscapes import Cityscapes
from readers.cut_outs import CutOuts
from readers.digits import DigitPhotos, Handwritten, Mnist
from readers.folder import ColourFolder, Folder
from readers.glyphs import Glyphs, Letters
from readers.listing import Listing
from readers.mpi3d import Mpi3d
from readers.street_folder import StreetFolder
from readers.sviro import Sviro, SviroIllumination, SviroNoCar
from readers.ticam import Ticam
from readers.views import ShapeNetViews, Views

READERS: dict[str, type[Reader]] = {reader.name: reader for reader in (
    Sviro, SviroIllumination, SviroNoCar, Ticam, Mpi3d, Mnist, DigitPhotos, Handwritten, Glyphs, Letters, Folder,
    ColourFolder, Carla, Cityscapes, CamVid, StreetFolder, Views, ShapeNetViews, CutOuts)}

__all__ = ["READERS", "Listing", "Reader", "create_reader"]


def check_name(name: str, maps: tuple[str, ...] = ()) -> None:
    """Raise UserError for a dataset that is not known, or has not just these maps beside its images."""
    if name not in READERS or READERS[name].maps != maps:
        raise choice_error("dataset.name", name, [each for each, reader in READERS.items() if reader.maps == maps])


def create_reader(name: str, root: str | Path, factor: list[str], split: str | None, skip_bad: bool = False,
                  **options: Any) -> Reader:
    """Return the reader of a dataset; options: what those of one system take beside. UserError for an unknown name."""
    if name not in READERS:
        raise choice_error("dataset.name", name, READERS)
    # Resolved, so that the same data is prepared once however its place is spelled.
    return READERS[name](Path(root).resolve(), factor, split, skip_bad, **options)
