"""What is decided, and nothing else: no I/O, no clock, no library of the shell. Values in, values out."""
