"""What pictures show, from their names."""

import pytest

from reporting.captions import describe

DATASETS = {"sviro_x5_all": "sviro (x5), all", "latent_last": "latent, last"}


@pytest.mark.parametrize(("stem", "caption"), [
    ("reconstruction_sviro_x5_all", "Reconstructions of sviro (x5), all, weights of the last epoch"),
    ("data_sviro_x5_all", "Images of sviro (x5), all, as trained or tested on"),
    ("latent_sviro_x5_all_best", "Targets, reconstructions and nearest training images of sviro (x5), all, weights of "
                                 "the best epoch"),
    ("latents_tsne_last", "Latent space of training and evaluation data, t-SNE, weights of the last epoch"),
    ("latents_umap_last", "Latent space of training and evaluation data, umap, weights of the last epoch"),
    ("mpi3d_score_last", "Reconstructions of real MPI3D images, weights of the last epoch"),
    ("translation_sviro_x5_all_last", "Translated images of sviro (x5), all, weights of the last epoch"),
    ("hybrids_sviro_x5_all_last", "Structures of images of sviro (x5), all with textures of real ones, weights of the "
                                  "last epoch"),
    ("segmentation_sviro_x5_all_best", "Label maps of sviro (x5), all, weights of the best epoch"),
    ("classes_sviro_x5_all_last", "Confusion of the classes of sviro (x5), all, and their IoU, weights of the last "
                                  "epoch"),
    ("shapes_sviro_x5_all_constant_last", "Shapes and masks of sviro (x5), all, the same for every image, weights of "
                                          "the last epoch"),
    ("pose_errors_a_network_b_network_last", "Errors of poses of a_network_b, the network, weights of the last epoch"),
    ("data_unheard_of", "Images of unheard_of, as trained or tested on"),
    ("my own {picture}", "my own {picture}"),
])  # fmt: skip
def test_captions_say_dataset_split_and_weights(stem, caption):
    assert describe(stem, DATASETS)[1] == caption


def test_results_come_before_the_data_and_unknown_pictures_last():
    stems = ["other", "data_a", "mpi3d_score_last", "latents_pca_last", "latent_a_last", "reconstruction_a"]
    assert sorted(stems, key=lambda stem: describe(stem, {})[0]) == stems[::-1]
