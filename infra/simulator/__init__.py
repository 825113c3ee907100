"""Runs a simulated multicenter study: sites in eight time zones record facts of synthetic participants over time.

participants.py and optional_events.py draw the events of a participant, site_errors.py the errors of the sites,
reporting.py the days on which they are reported; rates.py has all rates. run.py records the facts through the API.
"""
