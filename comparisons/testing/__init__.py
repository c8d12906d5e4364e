"""What a trained network can do, iteration by iteration."""
