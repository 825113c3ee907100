-- name: silenced
-- What silences the reminders of these visits.
select v.participant_id, v.sequence, v.snoozed_until, v.is_acknowledged
  from derived_visit v join unnest($2::text[], $3::integer[]) as k (participant_id, sequence) using (participant_id, sequence)
 where v.study_id = $1

-- name: sent
-- The steps that were sent of the visits of these participants, or whose digest is on its way.
select r.participant_id, r.schedule, r.visit, r.step, r.audience, r.addressee, r.target
  from reminder r
 where r.study_id = $1 and r.participant_id = any($2)
   and (r.state = 'sent' or (r.state = 'planned' and exists (
       select from reminder_delivery d where d.reminder_id = r.reminder_id and d.state = 'planned'
   )))
