"""Terminologies that others publish: CTCAE, and other spellings of its terms."""
