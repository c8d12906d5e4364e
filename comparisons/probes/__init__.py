"""What goes on inside a network, and what it survives."""
