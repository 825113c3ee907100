"""Data of the two studies of the demo: opening and protocol of the reference study and of the simulated study.

The four published cases of the reference study are here; infra/synthetic draws its synthetic participants.
"""
