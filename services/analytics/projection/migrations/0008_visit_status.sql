-- The state of a visit on a day, computed from columns of its row: shared/protocol/visit_status.py has the same table,
-- and a contract test compares both. A visit is found by the last day of its slot: those that await something come first.

alter table derived_visit add column declared_on  date    not null default 'infinity';
alter table derived_visit add column ends_on      date    not null default 'infinity';
alter table derived_visit add column ends_as      integer not null default 0;
alter table derived_visit add column closing_on   date    not null default 'infinity';
alter table derived_visit add column closing_as   integer not null default 0;
alter table derived_visit add column absent_until date    not null default 'infinity';

create index derived_visit_slot on derived_visit (study_id, slot_ends, participant_id, sequence);

create function visit_state(v derived_visit, today date) returns text language sql immutable parallel safe as $$
    select case
        when v.contact_on <= v.closes then 'done'
        when v.contact_on < 'infinity' then 'done_late'
        when v.ends_on <= v.closes or (v.closing_on <= v.closes and v.closing_on <= today) then 'not_applicable'
        when v.absent_until < 'infinity' then 'missed'
        when v.ends_on < 'infinity' or v.closing_on <= today then 'missed'
        when v.missed_on < 'infinity' then 'missed'
        when today < v.opens then 'planned'
        when today <= v.closes then 'due'
        when today <= v.slot_ends then 'overdue'
        else 'missed'
    end
$$;

-- Why a visit is not applicable, or missed before its slot has ended: null for other states. The words are those of
-- END_REASONS, in its order.
create function visit_reason(v derived_visit, today date) returns text language sql immutable parallel safe as $$
    select case
        when v.contact_on < 'infinity' then null
        when v.closing_on <= v.closes and v.closing_on <= today and v.closing_on < v.ends_on
            then (array['died', 'withdrew', 'lost', 'site_closed', 'study_ended'])[v.closing_as]
        when v.ends_on <= v.closes then (array['died', 'withdrew', 'lost', 'site_closed', 'study_ended'])[v.ends_as]
        when v.absent_until < 'infinity' then 'lost'
        when v.ends_on < 'infinity' or v.closing_on <= today then null
        when v.missed_on < 'infinity' then 'declared_missed'
    end
$$;

-- The visits of a study as they are counted today at each site. `days` has the day at each of the `sites`; other sites
-- have no visits here. Row-level security holds, and conditions on the columns use the indexes of derived_visit. The
-- case in the condition holds for nearly every row, which the planner cannot know: it expects that of <> but not of a range.
create function visit_status(study text, sites text[], days date[])
returns table (
    study_id text, site_id text, participant_id text, sequence integer, schedule integer, number integer,
    opens date, target date, closes date, slot_ends date, contact_on date, declared_on date, today date,
    state text, reason text
) language sql stable parallel safe as $$
    select v.study_id, v.site_id, v.participant_id, v.sequence, v.schedule, v.number,
           v.opens, v.target, v.closes, v.slot_ends, v.contact_on, v.declared_on, d.today,
           visit_state(v, d.today), visit_reason(v, d.today)
      from derived_visit v
      join unnest($2, $3) as d (site_id, today) on d.site_id = v.site_id
     where v.study_id = $1 and case when d.today between v.valid_from and v.valid_to then 'valid' else '' end <> ''
$$;
