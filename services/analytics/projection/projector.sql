-- name: take_positions
-- The position of the last event of each study in the batch, and the time of application. The rows of the studies stay
-- locked until the commit, which also notifies listeners of the position and of the version of the study's own facts.
with taken as (
    insert into study_position (study_id, position, applied_at)
    select study_id, events, clock_timestamp() from unnest($1::text[], $2::bigint[]) as many (study_id, events) order by 1
    on conflict (study_id) do update
       set position = study_position.position + excluded.position,
           applied_at = greatest(study_position.applied_at, clock_timestamp())
    returning study_id, position, applied_at
)
select t.study_id, t.position, t.applied_at,
       pg_notify('quartal_projected', t.study_id || ':' || t.position || ':' || coalesce(s.version, 0)) as notified
  from taken t
  left join inbox_stream s on s.source = '/studies/' || t.study_id || '/enrollment' and s.subject = t.study_id

-- name: write_journal
-- Appends the events of a batch to the journal; it returns nothing.
insert into journal (study_id, position, source, subject, version, event_id, type, schema_version, site_id, data, meta,
                     recorded_at, applied_at, known_on)
select study_id, position, source, subject, version, event_id, type, schema_version, site_id, data::jsonb, meta::jsonb,
       recorded_at, applied_at, known_on
  from unnest(
    $1::text[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::uuid[], $7::text[], $8::integer[], $9::text[],
    $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::date[]
  ) as fact (study_id, position, source, subject, version, event_id, type, schema_version, site_id, data, meta,
             recorded_at, applied_at, known_on)
