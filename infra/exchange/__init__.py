"""Facts in files: read, put into an order in which they can be stated, stated through the public API, and read back.

line ◀── table (CSV)          one fact of a file
  ▼
fact                          is it of its form? what did an export withhold?
  ▼
order                         of a study, then of each participant, service by service
  ▼
importing ── sending ── known     state what is not there yet

exporting, tidy               the way back
"""
