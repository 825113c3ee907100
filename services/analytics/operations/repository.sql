-- name: parked
-- The study's parked streams, the longest parked first.
select source, subject, version, parked as reason, since from inbox_stream
 where study_id = $1 and parked is not null
 order by since, source, subject

-- name: waiting
-- The number of waiting messages of each parked stream of the study.
select w.source, w.subject, count(*) as messages
  from inbox_waiting w join inbox_stream s using (source, subject)
 where s.study_id = $1 and s.parked is not null
 group by w.source, w.subject

-- name: unreadable
-- The number of unreadable messages.
select count(*) from inbox_waiting where source is null

-- name: unscreened
-- Participants of the study with current facts but no current screening, by the time of their first fact.
select s.participant_id, stated.services, stated.facts, stated.since
  from derived_subject s
 cross join lateral (
    select array_agg(distinct service order by service) as services, count(*) as facts, min(recorded_at) as since
      from fact where study_id = s.study_id and subject = s.participant_id and to_position is null
 ) as stated
 where s.study_id = $1 and not s.is_screened and not s.is_excluded and stated.facts > 0
 order by stated.since, s.participant_id

-- name: failed
-- Participants of the study whose last derivation failed, the longest failing first.
select participant_id, reason, since, position from derived_failure where study_id = $1 order by since, participant_id

-- name: behind
-- The number of facts of a study that are applied but not in the derived rows; null before the first fact.
select p.position - coalesce(d.position, 0) from study_position p left join derived_study d using (study_id)
 where p.study_id = $1

-- name: counts_by_study
-- For every study: the position of the rows, the applied facts that they do not have yet, participants whose derivation
-- failed, and participants without a screening.
select p.study_id, coalesce(d.position, 0) as position, greatest(p.position - coalesce(d.position, 0), 0) as behind,
       (select count(*) from derived_failure f where f.study_id = p.study_id) as failed,
       (
           select count(*) from derived_subject s
            where s.study_id = p.study_id and not s.is_screened and not s.is_excluded
              and exists (
                  select from fact f where f.study_id = s.study_id and f.subject = s.participant_id and f.to_position is null
              )
       ) as unscreened
  from study_position p left join derived_study d using (study_id)
 order by p.study_id
