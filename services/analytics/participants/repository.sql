-- name: page
-- The screened participants in analyses that the tenant of the transaction sees, beyond a number, a page at a time, with
-- the days that decide their status.
select s.participant_id, s.site_id, s.dead_from, s.participation_ends_on, s.enrolled_on, s.screen_failed_on,
       s.consented_on, exists (
           select from derived_absence a
            where a.study_id = s.study_id and a.participant_id = s.participant_id and a.resumed_on = 'infinity'
       ) as is_lost
  from derived_subject s
 where s.study_id = $1 and s.is_screened and not s.is_excluded and s.participant_id collate "C" > $2
 order by s.participant_id collate "C" limit $3
