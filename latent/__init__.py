"""The latent space: extracting it, and classifying in it."""
