"""A made-up multicentre study that goes on living: sites in eight time zones state facts, one after the other.

What happens to somebody is drawn first (patients.py, turns.py), then what the site gets wrong (slips.py), then when it
is told (telling.py); how often is in rates.py. run.py states it through the API.
"""
