"""Clients of the public API: one for any study, and the loader of the reference study."""
