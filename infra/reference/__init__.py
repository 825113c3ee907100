"""The reference study `atc-rt`, as facts ready to state: its opening, its four published cases, its synthetic people.

How made-up people fare (odds.py, terms.py, outlook.py, contacts.py, grading.py) serves the simulated study too.
"""
