"""Everything that the project needs on a new machine: `make setup`.

A second run finds it done and takes a second.
"""
