"""Train configs for many seeds, in parallel processes or by SLURM; finished seeds are skipped, stopped ones resumed."""

from errors import run_script
from experiment.repeat import repeat_command

if __name__ == "__main__":
    run_script(lambda: repeat_command(__doc__))
