-- name: log_page
-- The reminders of the tenant's participants that match the filters, the latest day first, after a key.
select reminder_id, study_id, participant_id, schedule, visit, step, audience, addressee, site_id, target, day, state,
       coalesce(reason, '') as reason, changed_on
  from reminder
 where study_id = $1
   and ($2::text is null or site_id = $2) and ($3::text is null or participant_id = $3)
   and ($4::text[] = '{}' or state = any($4))
   and (day, reminder_id) < ($5, $6)
 order by day desc, reminder_id desc limit $7

-- name: deliveries
-- To whom the digests with these reminders went, by day and member.
select reminder_id, member, state, code, message_id, at from reminder_delivery
 where study_id = $1 and reminder_id = any($2)
 order by day, member

-- name: coming_visits
-- The visits of the tenant's participants that await something, after a participant and a sequence.
select v.participant_id, v.sequence, v.schedule, v.site_id, v.number, v.opens, v.target, v.closes, v.slot_ends,
       v.declared_on, v.scheduled_on, v.snoozed_until, v.is_acknowledged, d.today, visit_state(v, d.today) as state
  from derived_visit v
  join unnest($2::text[], $3::date[]) as d (site_id, today) on d.site_id = v.site_id
 where v.study_id = $1 and d.today between v.valid_from and v.valid_to
   and visit_state(v, d.today) in ('planned', 'due', 'overdue')
   and ($4::text is null or v.participant_id = $4)
   and (v.participant_id collate "C", v.sequence) > ($5, $6)
 order by v.participant_id collate "C", v.sequence limit $7

-- name: of_visits
-- The reminders of these participants.
select reminder_id, study_id, participant_id, schedule, visit, step, audience, addressee, site_id, target, day, state,
       coalesce(reason, '') as reason, changed_on
  from reminder where study_id = $1 and participant_id = any($2)
