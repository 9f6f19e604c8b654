"""One module a step, in the order that ``down_revision`` draws; a step that was released never changes."""
