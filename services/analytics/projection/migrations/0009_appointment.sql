-- The appointment for a visit, in its row and in what visit_status returns.

alter table derived_visit add column scheduled_on date not null default 'infinity';

drop function visit_status(text, text[], date[]);

-- The visits of a study as they are counted today at each site. `days` has the day at each of the `sites`; other sites
-- have no visits here. Row-level security holds, and conditions on the columns use the indexes of derived_visit. The
-- case in the condition holds for nearly every row, which the planner cannot know: it expects that of <> but not of a range.
create function visit_status(study text, sites text[], days date[])
returns table (
    study_id text, site_id text, participant_id text, sequence integer, schedule integer, number integer,
    opens date, target date, closes date, slot_ends date, contact_on date, declared_on date, scheduled_on date,
    today date, state text, reason text
) language sql stable parallel safe as $$
    select v.study_id, v.site_id, v.participant_id, v.sequence, v.schedule, v.number,
           v.opens, v.target, v.closes, v.slot_ends, v.contact_on, v.declared_on, v.scheduled_on,
           d.today, visit_state(v, d.today), visit_reason(v, d.today)
      from derived_visit v
      join unnest($2, $3) as d (site_id, today) on d.site_id = v.site_id
     where v.study_id = $1 and case when d.today between v.valid_from and v.valid_to then 'valid' else '' end <> ''
$$;
