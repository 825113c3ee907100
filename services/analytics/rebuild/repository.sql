-- name: studies
-- The studies of which facts have been applied, and the number of their participants.
select p.study_id, count(distinct s.subject) as participants
  from study_position p left join inbox_stream s on s.study_id = p.study_id and s.subject <> s.study_id
 group by p.study_id order by p.study_id

-- name: applied_position
-- The position up to which facts of a study have been applied.
select position from study_position where study_id = $1

-- name: lock_position
-- Keeps the projection from applying facts of a study until the commit. The position is not needed.
select position from study_position where study_id = $1 for update

-- name: derived_state
-- How far the running rows of a study are derived; no row if they belong to another epoch than the journal.
select d.position, d.epoch, d.derivation_version, d.plans
  from derived_study d join study_position p using (study_id)
 where d.study_id = $1 and d.epoch = p.epoch

-- name: changed_subjects
-- The study and the participants of whom facts were applied after a position, up to another.
select distinct subject from journal where study_id = $1 and position > $2 and position <= $3 order by subject

-- name: empty_facts
-- Deletes the copies of the facts of these subjects; it returns nothing.
delete from pg_temp.fact where study_id = $1 and subject = any($2)

-- name: empty_sites
-- Deletes the copies of the current sites of these subjects; it returns nothing.
delete from pg_temp.subject_site where study_id = $1 and subject = any($2)

-- name: replay_facts
-- Computes every fact of these subjects, current or not, from the journal: a correction ends the fact that it restates; it
-- returns nothing.
with statements as (
    select j.*, type = 'record.corrected' as corrects,
           case when type = 'record.corrected' then (data ->> 'event_id')::uuid else event_id end as stated_id
      from journal j where study_id = $1 and subject = any($2)
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
insert into pg_temp.fact (study_id, service, type, subject, event_id, site_id, version, recorded_at, schema_version, data,
                          from_position, to_position, known_on)
select study_id, service, type, subject, stated_id, site_id, version, recorded_at, schema_version, data, position,
       to_position, known_on
  from versions where data is not null

-- name: replay_sites
-- Computes the current site of every screened participant among these subjects from their copied facts; it returns nothing.
-- `present_site` reads the copy too, which precedes the table of that name.
insert into pg_temp.subject_site (study_id, subject, site_id)
select moved.study_id, moved.subject, present.site_id
  from (
    select distinct study_id, subject from pg_temp.fact
     where study_id = $1 and subject = any($2) and type in ('participant.screened', 'participant.transferred')
       and to_position is null
  ) as moved
 cross join lateral (select present_site(moved.study_id, moved.subject) as site_id) as present
 where present.site_id is not null

-- name: failed
-- The participants whose rows could not be derived from the copied facts, with the reason.
select participant_id, position, reason from pg_temp.derived_failure where study_id = $1

-- name: number_revision
-- Gives the copied rows of these participants the number of the derivation; it returns nothing.
update pg_temp.derived_subject set revision = $3 where study_id = $1 and participant_id = any($2)

-- name: store_failures
-- Stores failures that the running rows do not have, and deletes those that are none any more; it returns nothing.
with cleared as (
    delete from public.derived_failure f
     where study_id = $1
       and not exists (
           select from pg_temp.derived_failure c where c.study_id = f.study_id and c.participant_id = f.participant_id
       )
)
insert into public.derived_failure select * from pg_temp.derived_failure where study_id = $1
on conflict (study_id, participant_id) do nothing
