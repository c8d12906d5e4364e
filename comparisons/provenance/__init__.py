"""Which code made a run, and whether today's computes the same."""
