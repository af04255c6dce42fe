"""Train autoencoders for many seeds: repeat_train.py for their configs alone."""

from errors import run_script
from experiment.repeat import repeat_command
from experiment.systems import AUTOENCODER

if __name__ == "__main__":
    run_script(lambda: repeat_command(__doc__, AUTOENCODER))
