"""What each figure shows, as data, with its headline; and the drawing of it."""
