"""Estimators of the cohort's figures: pure functions of numbers, no randomness, no reading or writing."""
