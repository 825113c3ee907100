-- name: due_cuts
-- The data cuts that are not sealed, of studies whose rows are derived up to them by this release, in the order in which they
-- were taken.
select f.study_id, f.from_position, f.data, f.recorded_at,
       f.from_position <= coalesce(b.position, 0) as sealed_later
  from fact f
  join study_position p using (study_id)
  join derived_study d on d.study_id = f.study_id and d.epoch = p.epoch and d.derivation_version = $1
                      and d.position >= f.from_position
  left join cut_seal_start b on b.study_id = f.study_id
 where f.type = 'study.cut_taken' and f.subject = f.study_id and f.to_position is null
   and not exists (select from cut_seal s where s.study_id = f.study_id and s.name = f.data ->> 'name')
 order by f.study_id, f.from_position

-- name: events_until
-- Every event up to a position, by stream and version.
select source, subject, version, event_id, type, schema_version, site_id, data, recorded_at from journal
 where study_id = $1 and position <= $2 order by source collate "C", subject collate "C", version

-- name: insert_seal
-- Inserts the seal of a data cut that has none, and returns its name; no row if there is one.
insert into cut_seal (study_id, name, cut_on, position, sealed_later, frontier, digest, excluded, software, documents)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (study_id, name) do nothing
returning name

-- name: insert_file
-- Inserts a file of a sealed figure; it returns nothing.
insert into cut_seal_file (study_id, name, scope, figure, format, content, sha256, file_name_parts, participant_rows)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)

-- name: fact_changes
-- The facts whose content at a later position is another than at an earlier one, of the tenant of the transaction, by the
-- position of the change. A fact that was recorded and voided in between is none, nor are those of the given participants.
with earlier as (
    select * from fact
     where study_id = $1 and from_position <= $2 and to_position > $2 and to_position <= $3
), later as (
    select * from fact
     where study_id = $1 and from_position > $2 and from_position <= $3 and (to_position is null or to_position > $3)
)
select case when earlier.event_id is null then 'added' when later.event_id is null then 'voided' else 'corrected' end as change,
       coalesce(later.from_position, earlier.to_position) as position, service, type, subject,
       event_id, coalesce(later.site_id, earlier.site_id) as site_id
  from earlier full join later using (study_id, service, type, subject, event_id)
 where subject <> all($4)
 order by 2, event_id

-- name: write_progress
-- States how far a sealing is now; it returns nothing.
insert into seal_progress (study_id, name, stage, done, total, updated_at)
values ($1, $2, $3, $4, $5, clock_timestamp())
on conflict (study_id, name, stage) do update
   set done = excluded.done, total = excluded.total, updated_at = excluded.updated_at

-- name: delete_progress
-- Removes the progress of a sealing, and what sealings left that were killed more than a day ago; it returns nothing.
delete from seal_progress
 where (study_id, name, stage) = ($1, $2, $3) or updated_at < clock_timestamp() - interval '1 day'

-- name: notify
-- Notifies the pages of a study; it returns nothing.
select pg_notify($1, $2)
