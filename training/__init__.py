"""Training: the loop, one step per kind of model, losses, and what the network is fed."""
