"""Facts in files: read, put into an order in which they can be stated, stated through the public API, and read back.

decoding ── layout ── table     from bytes to rows, where there is one reading
              │    schema, cell, content
              ▼
line ── fact                    one fact of a file: is it of its form? what did an export withhold?
  ▼
order                           of a study, then of each participant, service by service
  ▼
importing ── person             state what is not there yet
  │   registration, known, study, refusals
  ▼
tally                           what became of every line

exporting, access, template     the way back
"""
