"""What a service knows of studies and participants that enrollment registers: read, and kept up with.

Whom it knows has a row among its own streams, at version 0 before it has a fact of them; so who may see a participant,
and whether what a decision was made by still holds, is told by that one row.
"""
