-- name: find_owner
-- The study, the member and the generation of the calendar with this secret, if the subscription wants it; when that was
-- renewed.
select a.study_id, a.member, a.generation, s.renewed_at
  from calendar_address a join subscription s using (study_id, member)
 where a.secret_hash = $1 and s.calendar

-- name: lock_events
-- Nothing. Waits until no other transaction revises the events of the study.
select pg_advisory_xact_lock(hashtextextended('calendar_event ' || $1, 0))

-- name: closing_visits
-- The visits that await a contact, whose windows close on a day or later, the earliest first.
select v.participant_id, v.site_id, v.schedule, v.number, v.opens, v.target, v.closes
  from visit_status($1, $2, $3) v
 where v.contact_on = 'infinity' and v.ends_on = 'infinity' and v.closes >= $4 and v.closes <= $5
   and v.state <> all($6)
 order by v.closes, v.participant_id collate "C", v.sequence limit $7

-- name: closed_visits
-- The visits without a contact whose windows closed between two days, the latest first; also those of participants whose
-- follow-up ended later.
select v.* from (
    (select v.participant_id, v.site_id, v.schedule, v.number, v.opens, v.target, v.closes
       from visit_status($1, $2, $3) v
      where v.contact_on = 'infinity' and v.ends_on = 'infinity' and v.closes >= $4 and v.closes < $5
        and v.state <> all($6)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $7)
    union all
    (select v.participant_id, v.site_id, v.schedule, v.number, v.opens, v.target, v.closes
       from visit_status($1, $2, $3) v
      where v.contact_on = 'infinity' and v.ends_on < 'infinity' and v.closes >= $4 and v.closes < $5
        and v.state <> all($6)
      order by v.closes desc, v.participant_id collate "C" desc, v.sequence desc limit $7)
) v

-- name: visits_of_participants
-- All visits of these participants that await a contact, whenever they are.
select v.participant_id, v.site_id, v.schedule, v.number, v.opens, v.target, v.closes
  from visit_status($1, $2, $3) v
 where v.participant_id = any($4) and v.state <> all($5)

-- name: events
-- The events of these ids at every site, and of the sites those that are not cancelled and have days between two days, and
-- those that were cancelled since a day.
select uid, site_id, participant_id, schedule, number, part, starts, ends, cancelled_on, sequence, digest, changed_at, text
  from calendar_event
 where study_id = $1 and (
       uid = any($2)
    or (site_id = any($3) and cancelled_on is null and ends >= $4 and starts <= $5)
    or (site_id = any($3) and cancelled_on > $6)
 )

-- name: save_event
-- Nothing. Stores an event as calendars receive it from now on.
insert into calendar_event (
    study_id, uid, site_id, participant_id, schedule, number, part, starts, ends, cancelled_on, sequence, digest,
    changed_at, text
) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (study_id, uid, site_id) do update
   set starts = excluded.starts, ends = excluded.ends, cancelled_on = excluded.cancelled_on,
       sequence = excluded.sequence, digest = excluded.digest, changed_at = excluded.changed_at, text = excluded.text
