-- name: take_positions
-- Who watches is told at the commit how far each study is, and which version its own facts have.
with taken as (
    insert into study_position (study_id, position, applied_at)
    select study_id, events, clock_timestamp() from unnest($1::text[], $2::bigint[]) as many (study_id, events) order by 1
    on conflict (study_id) do update
       set position = study_position.position + excluded.position,
           applied_at = greatest(study_position.applied_at, clock_timestamp())
    returning study_id, position, applied_at
)
select t.study_id, t.position, t.applied_at,
       pg_notify('quartal_live', t.study_id || ':' || t.position || ':' || coalesce(s.version, 0)) as told
  from taken t
  left join inbox_stream s on s.source = '/studies/' || t.study_id || '/enrollment' and s.subject = t.study_id

-- name: write_journal
insert into journal (study_id, position, source, subject, version, event_id, type, schema_version, site_id, data, meta,
                     recorded_at, applied_at)
select study_id, position, source, subject, version, event_id, type, schema_version, site_id, data::jsonb, meta::jsonb,
       recorded_at, applied_at
  from unnest(
    $1::text[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::uuid[], $7::text[], $8::integer[], $9::text[],
    $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[]
  ) as fact (study_id, position, source, subject, version, event_id, type, schema_version, site_id, data, meta,
             recorded_at, applied_at)

-- name: begin_epoch
update study_position set epoch = gen_random_uuid()

-- name: replay_facts
with stated as (
    select j.*, type = 'record.corrected' as corrects,
           case when type = 'record.corrected' then (data ->> 'event_id')::uuid else event_id end as stated_id
      from journal j
), told as (
    select study_id, split_part(source, '/', 4) as service, subject, stated_id, position,
           first_value(type) over line as type, first_value(site_id) over line as site_id,
           first_value(version) over line as version, first_value(recorded_at) over line as recorded_at,
           case when corrects then (data #>> '{replacement,schema_version}')::integer else schema_version end as schema_version,
           case when corrects then data #> '{replacement,data}' else data end as data,
           lead(position) over line as to_position
      from stated
    window line as (partition by source, subject, stated_id order by position)
)
insert into fact (study_id, service, type, subject, event_id, site_id, version, recorded_at, schema_version, data,
                  from_position, to_position)
select study_id, service, type, subject, stated_id, site_id, version, recorded_at, schema_version, data, position,
       to_position
  from told where data is not null

-- name: replay_sites
insert into subject_site (study_id, subject, site_id)
select moved.study_id, moved.subject, present.site_id
  from (
    select distinct study_id, subject from fact
     where type in ('participant.screened', 'participant.transferred') and to_position is null
  ) as moved
 cross join lateral (select present_site(moved.study_id, moved.subject) as site_id) as present
 where present.site_id is not null
