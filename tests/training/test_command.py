"""What a training script makes of the place that it is started in."""

import warnings

import pytest
import torch
from lightning_fabric.plugins.environments import LightningEnvironment

from training.command import create_fabric
from training.journal import score

TASK = {"SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "77", "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4",
        "SLURM_NNODES": "1", "SLURM_PROCID": "3", "SLURM_LOCALID": "3", "SLURM_NODEID": "0"}


@pytest.mark.parametrize("job", [{}, TASK | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, TASK], ids=["none", "1", "4"])
def test_a_run_is_alone_wherever_slurm_is_and_nothing_is_advised(tmp_path, monkeypatch, job):
    (tmp_path / "srun").write_text("#!/bin/sh\n")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fabric = create_fabric(torch.device("cpu"))
    assert isinstance(fabric._connector.cluster_environment, LightningEnvironment)
    assert (fabric.world_size, fabric.global_rank, fabric.local_rank, fabric.node_rank) == (1, 0, 0, 0)


@pytest.mark.parametrize(("metric", "better", "worse"), [("accuracy", 0.9, 0.8), ("ssim/real", 0.7, 0.2),
                                                         ("lpips/real", 0.1, 0.4), ("loss/total", 2, 3)])
def test_the_best_weights_are_those_that_the_metric_says(metric, better, worse):
    assert score({"metric": metric, "value": better}) > score({"metric": metric, "value": worse})
