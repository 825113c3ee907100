"""Imports facts from files and exports them to files, through the public API.

decoding ── layout ── table               bytes to rows, if the file can be read in one way only
              │    schema, cell, row_content
              ▼
import_line ── fact_conversion            one line of a file, checked against the schema of its fact
  ▼
statement_order                           facts of the study, then of each participant, service by service
  ▼
importing ── participant_import           records the facts that the study does not have yet
  │   registration, existing_facts, batches, target_study, import_faults
  ▼
import_report                             the outcome of every line

exporting, access, template               exports, and examples for imports
"""
