-- name: position
select position, epoch::text as epoch, (
    select max(recorded_at) from journal j where j.study_id = p.study_id
) as recorded_at from study_position p where study_id = $1

-- name: recorded_at
-- Facts of different streams are not applied in the order in which they were recorded.
select max(recorded_at) from journal where study_id = $1 and position <= $2

-- name: as_of
select min(position) - 1 from journal where study_id = $1 and recorded_at > $2

-- name: cut
select from_position, data from fact
 where study_id = $1 and subject = $1 and type = 'study.cut_taken' and data ->> 'name' = $2 and to_position is null

-- name: study_at
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject = $1 and from_position <= $2 and (to_position is null or to_position > $2)
 order by version

-- name: facts
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject <> $1 and from_position <= $2 and (to_position is null or to_position > $2)
 order by subject, service, version

-- name: out
select distinct subject, service, type, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject <> $1 and to_position is null
   and type in ('participant.voided', 'participant.withdrawn')

-- name: facts_of
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject = any($2) and from_position <= $3 and (to_position is null or to_position > $3)
 order by subject, service, version

-- name: restated
select distinct event_id from fact where study_id = $1 and subject = $2 and to_position <= $3

-- name: subjects
select subject from subject_site where study_id = $1 and subject > $2 order by subject limit $3
