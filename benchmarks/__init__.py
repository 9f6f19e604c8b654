"""Figures of the project, each beside its baseline in the same run and held against ``bounds.json``; run by
``make bench``."""
