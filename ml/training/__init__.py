"""Training one network: recipe, loop, optimizer, checkpoints, prediction."""
