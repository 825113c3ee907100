-- name: projection_position
-- The position up to which the rows of a study are derived, its epoch, and the time by which everything up to it had been
-- recorded. The revision counts the derivations; the version is that of the release which derived the rows.
select coalesce(d.position, 0) as position, p.epoch::text as epoch, d.recorded_at, coalesce(d.revision, 0) as revision,
       d.derivation_version
  from study_position p left join derived_study d using (study_id)
 where p.study_id = $1

-- name: recorded_at
-- The latest time of recording up to a position: facts of different streams are not applied in the order of recording.
select max(recorded_at) from journal where study_id = $1 and position <= $2

-- name: day_of_position
-- The day, at the site that stated it, on which the last fact up to a position was recorded.
select known_on from journal where study_id = $1 and position <= $2 order by position desc limit 1

-- name: position_as_of
-- The position before the first fact that was recorded after a time; null if no fact was.
select min(position) - 1 from journal where study_id = $1 and recorded_at > $2

-- name: months
-- The months (UTC) in which a fact was recorded, the last one first, each with the position of the fact that was recorded first in
-- it. One step of an index for every month.
select m.month::date as month, first_fact.position
  from (select min(recorded_at) at time zone 'UTC' as first, max(recorded_at) at time zone 'UTC' as last
          from journal where study_id = $1) recorded
 cross join generate_series(date_trunc('month', recorded.first), recorded.last, interval '1 month') m (month)
 cross join lateral (
    select position from journal
     where study_id = $1 and recorded_at >= m.month at time zone 'UTC'
       and recorded_at < (m.month + interval '1 month') at time zone 'UTC'
     order by recorded_at, position limit 1
 ) first_fact
 order by 1 desc

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
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at, known_on from fact
 where study_id = $1 and subject = $1 and from_position <= $2 and (to_position is null or to_position > $2)
 order by version

-- name: facts_at
-- The facts of all participants that were current at a position, by participant, service and version.
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at, known_on from fact
 where study_id = $1 and subject <> $1 and from_position <= $2 and (to_position is null or to_position > $2)
 order by subject, service, version

-- name: excluded_participants
-- The participants who are in no analysis.
select participant_id from derived_subject where study_id = $1 and is_excluded

-- name: changed_participants
-- The participants whose rows were derived anew after a revision.
select participant_id from derived_subject where study_id = $1 and revision > $2

-- name: facts_of_participants
-- The facts of the given participants that were current at a position, by participant, service and version.
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at, known_on from fact
 where study_id = $1 and subject = any($2) and from_position <= $3 and (to_position is null or to_position > $3)
 order by subject, service, version

-- name: corrected_event_ids
-- The events of a participant that had another content, or none, before the position.
select distinct event_id from fact where study_id = $1 and subject = $2 and to_position <= $3

-- name: words
-- The words of these codes, and the codes of these words.
select code, word from derived_word where code = any($1) or word = any($2)

-- name: is_visible
-- Whether the tenant of the transaction sees a participant who is screened and in analyses.
select exists (
    select from derived_subject
     where study_id = $1 and participant_id = $2 and is_screened and not is_excluded
)

-- name: event_position
-- The position of a participant's event, whose version is that of its service. The tenant sees its own only.
select position from journal where source = $1 and subject = $2 and version = $3

-- name: visible_participants
-- The participants that the tenant of the transaction sees, joined by commas: one text is read much faster than as many
-- rows. Null if there are none.
select string_agg(participant_id, ',') from derived_subject where study_id = $1

-- name: studies_with_grants
-- The studies in which a member was granted a role, by id. The grant may have been revoked since.
select p.study_id from study_position p
 where exists (
    select from fact f
     where f.study_id = p.study_id and f.type = 'study.member_granted' and f.to_position is null
       and f.data->>'member' = $1
 ) order by p.study_id

-- name: sites_at
-- The facts that say at which site participants are, as they were current at a position, by participant and version.
select service, type, subject, event_id, site_id, version, schema_version, data, recorded_at, known_on from fact
 where study_id = $1 and service = 'enrollment' and type in ('participant.screened', 'participant.transferred')
   and from_position <= $2 and (to_position is null or to_position > $2)
 order by subject, version
