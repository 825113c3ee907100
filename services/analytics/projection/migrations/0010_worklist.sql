-- The worklist is read in pages, by the end of the window. Each visit is in one of three indexes: that of visits that
-- await something, of visits that await nothing because follow-up has ended, and of visits with a contact. The fourth index has
-- the enrolled participants who have no visits yet.

create index derived_visit_awaited on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on = 'infinity' and ends_on = 'infinity';
create index derived_visit_ended on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on = 'infinity' and ends_on < 'infinity';
create index derived_visit_attended on derived_visit (study_id, closes, participant_id collate "C", sequence)
    where contact_on < 'infinity';
create index derived_subject_unscheduled on derived_subject (study_id, enrolled_on, participant_id collate "C")
    where enrolled_on < 'infinity' and index_ended_on = 'infinity' and dead_from = 'infinity'
      and participation_ends_on = 'infinity';

drop function visit_status(text, text[], date[]);

-- The visits of a study as they are counted today at each site. `days` has the day at each of the `sites`; other sites
-- have no visits here. Row-level security holds, and conditions on the columns use the indexes of derived_visit. The
-- case in the condition holds for nearly every row, which the planner cannot know: it expects that of <> but not of a range.
create function visit_status(study text, sites text[], days date[])
returns table (
    study_id text, site_id text, participant_id text, sequence integer, schedule integer, number integer,
    opens date, target date, closes date, slot_ends date, contact_on date, declared_on date, scheduled_on date,
    ends_on date, today date, state text, reason text
) language sql stable parallel safe as $$
    select v.study_id, v.site_id, v.participant_id, v.sequence, v.schedule, v.number,
           v.opens, v.target, v.closes, v.slot_ends, v.contact_on, v.declared_on, v.scheduled_on,
           v.ends_on, d.today, visit_state(v, d.today), visit_reason(v, d.today)
      from derived_visit v
      join unnest($2, $3) as d (site_id, today) on d.site_id = v.site_id
     where v.study_id = $1 and case when d.today between v.valid_from and v.valid_to then 'valid' else '' end <> ''
$$;
