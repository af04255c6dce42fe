"""What the pictures in a run folder show, from their file names."""

import re
from collections.abc import Mapping

WEIGHTS = {"last": "weights of the last epoch", "best": "weights of the best epoch"}
PREDICTORS = {"network": "the network", "untrained": "the untrained network", "constant": "the same for every image"}
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
    r"translation_(?P<data>.+)_(?P<weights>last|best)": (
        "Translated images of {data}, {weights}",
        "Rendered images of {data}, below them what becomes of them, the way back where there is one, and the real "
        "images nearest to them"),
    r"hybrids_(?P<data>.+)_(?P<weights>last|best)": (
        "Structures of images of {data} with textures of real ones, {weights}",
        "All combinations of rendered images of {data}, at the left, and real ones, at the top"),
    r"segmentation_(?P<data>.+)_(?P<weights>last|best)": (
        "Label maps of {data}, {weights}",
        "Images of {data} beside their label maps, those that the network predicts, and where both differ"),
    r"classes_(?P<data>.+)_(?P<weights>last|best)": (
        "Confusion of the classes of {data}, and their IoU, {weights}",
        "Confusion matrix and IoU of each class on {data}"),
    r"shapes_(?P<data>.+)_(?P<predictor>network|untrained|constant)_(?P<weights>last|best)": (
        "Shapes and masks of {data}, {predictor}, {weights}",
        "Images of {data} beside true and predicted masks, and true and predicted point clouds from three sides"),
    r"pose_errors_(?P<data>.+)_(?P<predictor>network|untrained|constant)_(?P<weights>last|best)": (
        "Errors of poses of {data}, {predictor}, {weights}",
        "Histogram of the errors of poses of {data}, in degrees"),
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
                     "predictor": PREDICTORS.get(found.get("predictor", "")),
                     "method": METHODS.get(found.get("method", ""), found.get("method"))}
            return rank, *(text.format(**words) for text in texts)
    return len(KINDS), stem, f"Picture {stem}"
