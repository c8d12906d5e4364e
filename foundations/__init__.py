"""What every part of the library stands on, without torch: errors, commands, files, records,
statistics and measures."""

VERSION = "0.2.0"  # of the library: the one place that says so
