-- The worklist is read in pages, by the end of the window: visits without a contact, visits with one, and enrolled
-- participants who have no visits yet.

create index derived_visit_awaited on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on = 'infinity';
create index derived_visit_attended on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on < 'infinity';
create index derived_subject_unscheduled on derived_subject (study_id, enrolled_on, participant_id collate "C")
    where enrolled_on < 'infinity' and index_ended_on = 'infinity' and dead_from = 'infinity'
      and participation_ends_on = 'infinity';
