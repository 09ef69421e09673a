"""What a training step is made of: state, phases, meters, averages, optimisers, randomness, augmentation.

Below `models` and `training`, so that imports point one way: a model is written with these, the loop runs models.
"""
