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
select subject, array_agg(distinct service order by service) as services, count(*) as facts,
       min(recorded_at) as since
  from fact where study_id = $1 and subject <> $1 and to_position is null
 group by subject having not bool_or(type = 'participant.screened')
 order by since, subject

-- name: unscreened_by_study
-- The number of such participants by study. It reads the streams first, which are few compared with the facts.
with received as (
    select study_id, subject from inbox_stream where subject <> study_id group by study_id, subject
), unscreened as (
    select study_id, subject from received r
     where exists (select from fact f where f.study_id = r.study_id and f.subject = r.subject and f.to_position is null)
       and not exists (
           select from fact f
            where f.study_id = r.study_id and f.subject = r.subject and f.service = 'enrollment'
              and f.type = 'participant.screened' and f.to_position is null
       )
)
select p.study_id, count(u.subject) as participants
  from study_position p left join unscreened u using (study_id)
 group by p.study_id order by p.study_id
