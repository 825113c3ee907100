-- name: projection_position
-- The latest position of a study, its epoch, and the time by which everything up to it had been recorded.
select position, epoch::text as epoch, (
    select max(recorded_at) from journal j where j.study_id = p.study_id
) as recorded_at from study_position p where study_id = $1

-- name: recorded_at
-- The latest time of recording up to a position: facts of different streams are not applied in the order of recording.
select max(recorded_at) from journal where study_id = $1 and position <= $2

-- name: position_as_of
-- The position before the first fact that was recorded after a time; null if no fact was.
select min(position) - 1 from journal where study_id = $1 and recorded_at > $2

-- name: named_cut
-- The position and the content of the current data cut of that name.
select from_position, data from fact
 where study_id = $1 and subject = $1 and type = 'study.cut_taken' and data ->> 'name' = $2 and to_position is null

-- name: data_cuts
-- Every current data cut of a study with its position, in the order in which the cuts were taken.
select from_position, data, recorded_at from fact
 where study_id = $1 and subject = $1 and type = 'study.cut_taken' and to_position is null
 order by from_position

-- name: study_record_at
-- The study's own facts that were current at a position, in the order of their versions.
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject = $1 and from_position <= $2 and (to_position is null or to_position > $2)
 order by version

-- name: facts_at
-- The facts of all participants that were current at a position, by participant, service and version.
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject <> $1 and from_position <= $2 and (to_position is null or to_position > $2)
 order by subject, service, version

-- name: exclusion_facts
-- The current facts that may exclude a participant from every analysis: voided, or consent withdrawn.
select distinct subject, service, type, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject <> $1 and to_position is null
   and type in ('participant.voided', 'participant.withdrawn')

-- name: facts_of_participants
-- The facts of the given participants that were current at a position, by participant, service and version.
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at from fact
 where study_id = $1 and subject = any($2) and from_position <= $3 and (to_position is null or to_position > $3)
 order by subject, service, version

-- name: corrected_event_ids
-- The events of a participant that had another content, or none, before the position.
select distinct event_id from fact where study_id = $1 and subject = $2 and to_position <= $3

-- name: visible_participants
-- The participants that the tenant of the transaction sees, sorted, a page at a time.
select subject from subject_site where study_id = $1 and subject > $2 order by subject limit $3
