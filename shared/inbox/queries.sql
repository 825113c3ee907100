-- name: make_lines
insert into inbox_stream (study_id, source, subject)
select * from unnest($1::text[], $2::text[], $3::text[]) as line (study_id, source, subject) order by 2, 3
on conflict (source, subject) do nothing

-- name: lock_lines
select s.source, s.subject, s.version, s.parked
  from inbox_stream s join unnest($1::text[], $2::text[]) as line (source, subject) using (source, subject)
 order by s.source, s.subject for update of s

-- name: waiting
select w.source, w.subject, w.version, w.topic, w.partition, w."offset", w.key, w.headers, w.value
  from inbox_waiting w join unnest($1::text[], $2::text[]) as line (source, subject) using (source, subject)
 order by w.source, w.subject, w.version

-- name: move_lines
update inbox_stream s
   set version = line.version, parked = line.parked,
       since = case when line.parked is not null then coalesce(s.since, now()) end
  from unnest($1::text[], $2::text[], $3::integer[], $4::text[]) as line (source, subject, version, parked)
 where s.source = line.source and s.subject = line.subject

-- name: keep_waiting
insert into inbox_waiting (source, subject, version, topic, partition, "offset", key, headers, value)
select * from unnest(
    $1::text[], $2::text[], $3::integer[], $4::text[], $5::integer[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[]
)
on conflict (source, subject, version) where source is not null do update
   set topic = excluded.topic, partition = excluded.partition, "offset" = excluded."offset", key = excluded.key,
       headers = excluded.headers, value = excluded.value, since = excluded.since

-- name: drop_waiting
delete from inbox_waiting w
 using unnest($1::text[], $2::text[], $3::integer[]) as line (source, subject, version)
 where w.source = line.source and w.subject = line.subject and w.version <= line.version

-- name: keep_unreadable
insert into inbox_waiting (reason, topic, partition, "offset", key, headers, value)
select * from unnest(
    $1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[]
)
on conflict do nothing

-- name: store_offsets
insert into inbox_offset (topic, partition, next)
select * from unnest($1::text[], $2::integer[], $3::bigint[]) order by 1, 2
on conflict (topic, partition) do update set next = greatest(inbox_offset.next, excluded.next)
returning topic, partition, coalesce(old.next, 0) as before

-- name: offsets
select topic, partition, next from inbox_offset where topic = any($1::text[])

-- name: parked
select s.study_id, s.source, s.subject, s.version, s.parked as reason, s.since, count(w.id) as waiting,
       min(w.version) as first
  from inbox_stream s left join inbox_waiting w using (source, subject)
 where s.parked is not null
 group by s.source, s.subject order by s.source, s.subject

-- name: unreadable
select id, topic, partition, "offset", reason, since from inbox_waiting where source is null order by id

-- name: take_unreadable
delete from inbox_waiting where id = $1 and source is null
returning topic, partition, "offset", key, headers, value

-- name: discard_unreadable
with gone as (delete from inbox_waiting where id = $1 and source is null returning *)
insert into inbox_discarded (topic, partition, "offset", key, headers, value, discarded_by, reason)
select topic, partition, "offset", key, headers, value, $2, $3 from gone returning id

-- name: discard_waiting
with gone as (
    delete from inbox_waiting where source = $1 and subject = $2 and version = $3 returning *
)
insert into inbox_discarded
    (source, subject, version, topic, partition, "offset", key, headers, value, discarded_by, reason)
select $1, $2, $3, topic, partition, "offset", key, headers, value, $4, $5
  from (select) as one left join gone on true

-- name: originals
select distinct on (event_id) event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position,
       to_position
  from fact where event_id = any($1::uuid[]) order by event_id, from_position desc

-- name: close_facts
update fact f set to_position = ended.position
  from unnest($1::uuid[], $2::bigint[]) as ended (event_id, position)
 where f.event_id = ended.event_id and f.to_position is null

-- name: open_facts
insert into fact (event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position, to_position,
                  schema_version, data)
select event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position, to_position,
       schema_version, data::jsonb
  from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::timestamptz[],
    $9::bigint[], $10::bigint[], $11::integer[], $12::text[]
  ) as opened (event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position, to_position,
               schema_version, data)

-- name: forget_sites
delete from subject_site s using unnest($1::text[], $2::text[]) as moved (study_id, subject)
 where s.study_id = moved.study_id and s.subject = moved.subject and present_site(s.study_id, s.subject) is null

-- name: know_sites
insert into subject_site (study_id, subject, site_id)
select moved.study_id, moved.subject, present.site_id
  from unnest($1::text[], $2::text[]) as moved (study_id, subject)
 cross join lateral (select present_site(moved.study_id, moved.subject) as site_id) as present
 where present.site_id is not null
on conflict (study_id, subject) do update set site_id = excluded.site_id

-- name: standing
-- Returns the facts of a study, or of its subject $2, that currently stand.
select event_id, service, type, subject, site_id, version, recorded_at, schema_version, data, from_position
  from fact
 where study_id = $1 and to_position is null
   and ($2::text is null or subject = $2)
 order by subject, service, version

-- name: store_ends
insert into inbox_end (topic, partition, "end", at)
select topic, partition, "end", clock_timestamp()
  from unnest($1::text[], $2::integer[], $3::bigint[]) as found (topic, partition, "end") order by 1, 2
on conflict (topic, partition) do update set "end" = excluded."end", at = excluded.at

-- name: store_standstill
insert into inbox_standstill (parked, unreadable, oldest, at)
select parked.streams, unreadable.messages, least(parked.oldest, unreadable.oldest), clock_timestamp()
  from (select count(*) as streams, min(since) as oldest from inbox_stream where parked is not null) as parked,
       (select count(*) as messages, min(since) as oldest from inbox_waiting where source is null) as unreadable
on conflict (only_row) do update
   set parked = excluded.parked, unreadable = excluded.unreadable, oldest = excluded.oldest, at = excluded.at

-- name: lag
select e.topic, sum(greatest(e."end" - coalesce(o.next, 0), 0))::bigint as behind,
       extract(epoch from clock_timestamp() - min(e.at))::float8 as age
  from inbox_end e left join inbox_offset o using (topic, partition)
 group by e.topic order by e.topic

-- name: standstill
select parked, unreadable, extract(epoch from clock_timestamp() - oldest)::float8 as oldest,
       extract(epoch from clock_timestamp() - at)::float8 as age
  from inbox_standstill
