"""Config, run folder, checkpoints and records: everything that names and keeps an experiment."""
