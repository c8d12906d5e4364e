"""The page, its tables, and two folders side by side."""
