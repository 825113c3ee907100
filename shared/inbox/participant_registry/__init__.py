"""Replica of the studies and participants that enrollment registers, in a service with facts of its own about them.

Each of them has a row among the service's own streams, at version 0 before the service has a fact. That one row
decides who may see a participant, and whether the basis of a decision still holds.
"""
