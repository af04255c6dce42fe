"""The autoencoders: pairs, losses, step, latent space and what is judged in it."""
