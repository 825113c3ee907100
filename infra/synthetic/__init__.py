"""Draws synthetic participants: treatment, disease, follow-up and toxicity, as facts ready to record."""
