"""What the pictures in a run folder show, from their file names."""

import re
from collections.abc import Mapping

WEIGHTS = {"last": "weights of the last epoch", "best": "weights of the best epoch"}
METHODS = {"tsne": "t-SNE", "pca": "principal components"}
# In the order in which a report shows them. `{data}`: dataset and split; `{weights}`: of which epoch.
KINDS = {
    r"reconstruction_(?P<data>.+)": (
        "Reconstructions of {data}, weights of the last epoch",
        "Images of {data} above what the autoencoder makes of them, with their classes"),
    r"latent_(?P<data>.+)_(?P<weights>last|best)": (
        "Targets, reconstructions and nearest training images of {data}, {weights}",
        "Images of {data} in columns with targets, reconstructions and nearest training images, each column framed by "
        "whether k-nearest-neighbours predict the class"),
    r"latents_(?P<method>[a-z]+)_(?P<weights>last|best)": (
        "Latent space of training and evaluation data, {method}, {weights}",
        "Scatter plots of the latents in two dimensions ({method}), coloured by domain and by class"),
    r"mpi3d_score_(?P<weights>last|best)": (
        "Reconstructions of real MPI3D images, {weights}",
        "Real images, their reconstructions and the synthetic images with the same factors"),
    r"data_(?P<data>.+)": (
        "Images of {data}, as trained or tested on",
        "A sheet of images of {data} with their classes"),
}  # fmt: skip


def describe(stem: str, datasets: Mapping[str, str]) -> tuple[int, str, str]:
    """Return rank among the kinds, caption and alternative text of a picture by its file name without suffix.

    datasets: how a file names a dataset -> how people do. A picture of no known kind comes last, with its name.
    """
    for rank, (pattern, texts) in enumerate(KINDS.items()):
        if match := re.fullmatch(pattern, stem):
            found = match.groupdict()
            words = {"data": datasets.get(found.get("data", ""), found.get("data")),
                     "weights": WEIGHTS.get(found.get("weights", "")),
                     "method": METHODS.get(found.get("method", ""), found.get("method"))}
            return rank, *(text.format(**words) for text in texts)
    return len(KINDS), stem, f"Picture {stem}"
