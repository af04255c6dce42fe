"""The classifiers: step and judge."""
