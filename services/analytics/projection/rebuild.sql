-- name: begin_epoch
-- Gives every study a new epoch, and notifies the deriver, which then derives all rows anew.
with begun as (update study_position set epoch = gen_random_uuid() returning study_id, position)
select pg_notify('quartal_projected', study_id || ':' || position) from begun

-- name: empty_facts
-- Empties the tables of facts; it returns nothing.
truncate fact, subject_site

-- name: replay_facts
-- Computes every fact, current or not, from the journal: a correction ends the fact that it restates; it returns nothing.
with statements as (
    select j.*, type = 'record.corrected' as corrects,
           case when type = 'record.corrected' then (data ->> 'event_id')::uuid else event_id end as stated_id
      from journal j
), versions as (
    select study_id, split_part(source, '/', 4) as service, subject, stated_id, position,
           first_value(type) over line as type, first_value(site_id) over line as site_id,
           first_value(version) over line as version, first_value(recorded_at) over line as recorded_at,
           case when corrects then (data #>> '{replacement,schema_version}')::integer else schema_version end as schema_version,
           case when corrects then data #> '{replacement,data}' else data end as data, known_on,
           lead(position) over line as to_position
      from statements
    window line as (partition by source, subject, stated_id order by position)
)
insert into fact (study_id, service, type, subject, event_id, site_id, version, recorded_at, schema_version, data,
                  from_position, to_position, known_on)
select study_id, service, type, subject, stated_id, site_id, version, recorded_at, schema_version, data, position,
       to_position, known_on
  from versions where data is not null

-- name: replay_sites
-- Computes the current site of every screened participant from the current facts; it returns nothing.
insert into subject_site (study_id, subject, site_id)
select moved.study_id, moved.subject, present.site_id
  from (
    select distinct study_id, subject from fact
     where type in ('participant.screened', 'participant.transferred') and to_position is null
  ) as moved
 cross join lateral (select present_site(moved.study_id, moved.subject) as site_id) as present
 where present.site_id is not null
