"""Train an autoencoder for many seeds, in parallel processes; finished seeds are skipped, stopped ones resumed."""

from errors import run_script
from experiment.repeat import repeat_command

if __name__ == "__main__":
    run_script(lambda: repeat_command("train_ae.py", __doc__, ("conv", "extractor")))
