"""Words that others define and we repeat: CTCAE."""
