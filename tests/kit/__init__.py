"""Parts that tests of several tiers are made of."""
