-- name: lock_studies
-- Takes the lock that an append to the study's own stream takes: no participant's fact is appended meanwhile.
select pg_advisory_xact_lock(hashtextextended(study_id, 0))
  from (select study_id from unnest($1::text[]) as moved (study_id) order by 1) as ordered

-- name: upsert_studies
-- Stores the version of each study.
insert into streams (study_id, stream_id, version)
select study_id, study_id, version from unnest($1::text[], $2::integer[]) as moved (study_id, version) order by 1
on conflict (study_id, stream_id) do update set version = excluded.version

-- name: upsert_participants
-- Stores version and current site of those participants that have a site; returns how many they are.
with written as (
    insert into streams (study_id, stream_id, version, site_id, known)
    select moved.study_id, moved.subject, 0, present.site_id, moved.version
      from unnest($1::text[], $2::text[], $3::integer[]) as moved (study_id, subject, version)
      join subject_site present using (study_id, subject)
     order by 1, 2
    on conflict (study_id, stream_id) do update set site_id = excluded.site_id, known = excluded.known
    returning 1
)
select count(*) from written

-- name: update_unscreened
-- Stores the version of participants whose screening was voided: a stream keeps the site that it had.
update streams s set known = moved.version
  from unnest($1::text[], $2::text[], $3::integer[]) as moved (study_id, subject, version)
 where s.study_id = moved.study_id and s.stream_id = moved.subject and s.known < moved.version
