"""Runs a simulated multicenter study: sites in eight time zones record facts of synthetic participants over time.

participants.py and optional_events.py draw what happens to a participant, site_errors.py what the site gets wrong,
reporting.py when it is reported; rates.py has all rates. run.py records the facts through the API.
"""
