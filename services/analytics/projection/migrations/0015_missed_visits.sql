-- Missed visits are found by three indexes: derived_visit_awaited has those whose windows have closed, and these two have those
-- of participants whose follow-up ended after the window, and those that may be missed or not applicable before their
-- window has closed, although follow-up goes on.

create index derived_visit_missed on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on = 'infinity' and ends_on < 'infinity' and closes < ends_on;
create index derived_visit_excepted on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on = 'infinity' and ends_on = 'infinity'
      and (missed_on < 'infinity' or absent_until < 'infinity' or closing_on < 'infinity');
