"""The record of a run: its spec, its result, the columns of the table, and the reading of them."""
