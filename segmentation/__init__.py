"""Segmentation: a class per pixel, with DeepLabV3+."""
