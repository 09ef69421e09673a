"""Generative models in JAX: networks, losses, models, training, data, metrics and pictures."""
