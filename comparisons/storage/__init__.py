"""A run's folder, and who may write to it."""
