"""Commands for administrators, typed into the operator's container."""
