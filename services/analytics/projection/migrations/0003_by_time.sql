-- The time by which everything was recorded, without a walk through the journal.

create index journal_recorded_at on journal (study_id, recorded_at);
