"""Reading what is stored: runs, networks, series and sections, and what their intervals allow to be
said."""
