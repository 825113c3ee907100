-- name: awaited
-- The visits without a contact or an end of follow-up in the states that are not left out, after a key, the earliest
-- window first.
select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
       v.declared_on, v.scheduled_on, v.today, v.state, v.reason
  from visit_status($1, $2, $3) v
 where v.state <> all($4) and v.contact_on = 'infinity' and v.ends_on = 'infinity'
   and (v.closes, v.participant_id collate "C", v.sequence) > ($5, $6, $7)
   and v.closes <= $8 and v.opens <= v.today + $9::integer
 order by v.closes, v.participant_id collate "C", v.sequence limit $10

-- name: missed
-- The missed visits before a key, the latest window first. Each part is read by its own index: visits whose windows closed
-- until a day, visits of participants whose follow-up ended later, and exceptions, which may be missed before their window
-- has closed.
select v.* from (
    (select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
            v.declared_on, v.scheduled_on, v.today, v.state, v.reason
       from visit_status($1, $2, $3) v
      where v.state <> all($4) and v.contact_on = 'infinity' and v.ends_on = 'infinity' and v.closes <= $9
        and (v.closes, v.participant_id collate "C", v.sequence) < ($5, $6, $7)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8)
    union
    (select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
            v.declared_on, v.scheduled_on, v.today, v.state, v.reason
       from visit_status($1, $2, $3) v
      where v.state <> all($4) and v.contact_on = 'infinity' and v.ends_on < 'infinity' and v.closes < v.ends_on
        and (v.closes, v.participant_id collate "C", v.sequence) < ($5, $6, $7)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8)
    union
    (select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
            v.declared_on, v.scheduled_on, d.today, visit_state(v, d.today), visit_reason(v, d.today)
       from derived_visit v join unnest($2::text[], $3::date[]) as d (site_id, today) on d.site_id = v.site_id
      where v.study_id = $1 and case when d.today between v.valid_from and v.valid_to then 'valid' else '' end <> ''
        and visit_state(v, d.today) <> all($4) and v.contact_on = 'infinity' and v.ends_on = 'infinity'
        and (v.missed_on < 'infinity' or v.absent_until < 'infinity' or v.closing_on < 'infinity')
        and (v.closes, v.participant_id collate "C", v.sequence) < ($5, $6, $7)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8)
) v order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8

-- name: not_applicable
-- The visits that are not applicable before a key, the latest window first: those of participants whose follow-up has ended,
-- and exceptions at sites or in studies that are closed.
select v.* from (
    (select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
            v.declared_on, v.scheduled_on, v.today, v.state, v.reason
       from visit_status($1, $2, $3) v
      where v.state <> all($4) and v.contact_on = 'infinity' and v.ends_on < 'infinity'
        and (v.closes, v.participant_id collate "C", v.sequence) < ($5, $6, $7)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8)
    union
    (select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
            v.declared_on, v.scheduled_on, d.today, visit_state(v, d.today), visit_reason(v, d.today)
       from derived_visit v join unnest($2::text[], $3::date[]) as d (site_id, today) on d.site_id = v.site_id
      where v.study_id = $1 and case when d.today between v.valid_from and v.valid_to then 'valid' else '' end <> ''
        and visit_state(v, d.today) <> all($4) and v.contact_on = 'infinity' and v.ends_on = 'infinity'
        and (v.missed_on < 'infinity' or v.absent_until < 'infinity' or v.closing_on < 'infinity')
        and (v.closes, v.participant_id collate "C", v.sequence) < ($5, $6, $7)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8)
) v order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8

-- name: attended
-- The visits with a contact in the states that are not left out, before a key, the latest window first.
select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
       v.declared_on, v.scheduled_on, v.today, v.state, v.reason
  from visit_status($1, $2, $3) v
 where v.state <> all($4) and v.contact_on < 'infinity'
   and (v.closes, v.participant_id collate "C", v.sequence) < ($5, $6, $7)
 order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $8

-- name: of_participant
-- The visits of a participant in the states that are not left out, in no order.
select v.participant_id, v.site_id, v.sequence, v.schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
       v.declared_on, v.scheduled_on, v.today, v.state, v.reason
  from visit_status($1, $2, $3) v
 where v.state <> all($4) and v.participant_id = $5 and v.opens <= v.today + $6::integer

-- name: unscheduled
-- The enrolled participants in follow-up who have no visits, after an enrollment and a participant, the earliest
-- enrollment first. `$6`: only this participant; null: all.
select s.participant_id, s.site_id, s.enrolled_on, d.today
  from derived_subject s join unnest($2::text[], $3::date[]) as d (site_id, today) using (site_id)
 where s.study_id = $1 and s.is_screened and not s.is_excluded
   and s.enrolled_on < 'infinity' and s.index_ended_on = 'infinity'
   and s.dead_from = 'infinity' and s.participation_ends_on = 'infinity'
   and (s.enrolled_on, s.participant_id collate "C") > ($4, $5)
   and ($6::text is null or s.participant_id = $6)
   and not exists (
       select from derived_absence a
        where a.study_id = s.study_id and a.participant_id = s.participant_id and a.resumed_on = 'infinity'
   )
   and not exists (
       select from derived_visit v where v.study_id = s.study_id and v.participant_id = s.participant_id
   )
 order by s.enrolled_on, s.participant_id collate "C" limit $7

-- name: recently_missed
-- The number of visits whose slots ended on the last days and that were missed without a declaration or a loss.
-- `$7`: only of this participant; null: of all.
select count(*)
  from visit_status($1, $2, $3) v
 where v.slot_ends between $4 and $5 and v.slot_ends between v.today - $6::integer and v.today - 1
   and v.state = 'missed' and v.reason is null and ($7::text is null or v.participant_id = $7)

-- name: last_contacts
-- The day of the last contact of each of these participants that has any. `$3`: the code of the days of contacts; `$4`:
-- the code of contacts by a registry, which nobody had with the participant.
select participant_id, max(day_on) as last_contact
  from derived_subject_day
 where study_id = $1 and participant_id = any($2) and kind = $3 and code is distinct from $4
 group by participant_id
