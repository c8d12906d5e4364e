"""What is to be run: requests, presets, equal budgets, and what it will cost."""
