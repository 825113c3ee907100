-- name: lock_studies
-- As an append to the study's own stream would: no participant's fact is appended while the study moves.
select pg_advisory_xact_lock(hashtextextended(study_id, 0))
  from (select study_id from unnest($1::text[]) as moved (study_id) order by 1) as ordered

-- name: know_studies
insert into streams (study_id, stream_id, version)
select study_id, study_id, version from unnest($1::text[], $2::integer[]) as moved (study_id, version) order by 1
on conflict (study_id, stream_id) do update set version = excluded.version

-- name: know_participants
-- How many of them are at a site, and so were written.
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

-- name: know_of_the_unscreened
-- Their screening is void: who has a stream here keeps it, at the site that it was at.
update streams s set known = moved.version
  from unnest($1::text[], $2::text[], $3::integer[]) as moved (study_id, subject, version)
 where s.study_id = moved.study_id and s.stream_id = moved.subject and s.known < moved.version
