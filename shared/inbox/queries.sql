-- name: create_streams
-- Creates the streams that are new, at version 0.
insert into inbox_stream (study_id, source, subject)
select * from unnest($1::text[], $2::text[], $3::text[]) as new (study_id, source, subject) order by 2, 3
on conflict (source, subject) do nothing

-- name: lock_streams
-- Version and parked reason of each stream that exists. Locked in one order, so that consumers do not deadlock.
select s.source, s.subject, s.version, s.parked
  from inbox_stream s join unnest($1::text[], $2::text[]) as wanted (source, subject) using (source, subject)
 order by s.source, s.subject for update of s

-- name: load_waiting
-- The waiting messages of the streams, by stream and version.
select w.source, w.subject, w.version, w.topic, w.partition, w."offset", w.key, w.headers, w.value
  from inbox_waiting w join unnest($1::text[], $2::text[]) as wanted (source, subject) using (source, subject)
 order by w.source, w.subject, w.version

-- name: update_streams
-- Stores version and parked reason of the streams; a stream that stays parked keeps its `since`.
update inbox_stream s
   set version = moved.version, parked = moved.parked,
       since = case when moved.parked is not null then coalesce(s.since, now()) end
  from unnest($1::text[], $2::text[], $3::integer[], $4::text[]) as moved (source, subject, version, parked)
 where s.source = moved.source and s.subject = moved.subject

-- name: store_waiting
-- Stores waiting messages. A message for the same version replaces the earlier one.
insert into inbox_waiting (source, subject, version, topic, partition, "offset", key, headers, value)
select * from unnest(
    $1::text[], $2::text[], $3::integer[], $4::text[], $5::integer[], $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[]
)
on conflict (source, subject, version) where source is not null do update
   set topic = excluded.topic, partition = excluded.partition, "offset" = excluded."offset", key = excluded.key,
       headers = excluded.headers, value = excluded.value, since = excluded.since

-- name: delete_waiting
-- Deletes the waiting messages up to the version of each stream.
delete from inbox_waiting w
 using unnest($1::text[], $2::text[], $3::integer[]) as applied (source, subject, version)
 where w.source = applied.source and w.subject = applied.subject and w.version <= applied.version

-- name: store_unreadable
-- Stores messages whose stream cannot be read. A repeated message is stored once.
insert into inbox_waiting (reason, topic, partition, "offset", key, headers, value)
select * from unnest(
    $1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::bytea[]
)
on conflict do nothing

-- name: store_offsets
-- Stores the next offset of each partition; returns the one stored before, 0 for a new partition.
insert into inbox_offset (topic, partition, next)
select * from unnest($1::text[], $2::integer[], $3::bigint[]) order by 1, 2
on conflict (topic, partition) do update set next = greatest(inbox_offset.next, excluded.next)
returning topic, partition, coalesce(old.next, 0) as before

-- name: load_offsets
-- The next offset of each partition of the topics.
select topic, partition, next from inbox_offset where topic = any($1::text[])

-- name: parked
-- The parked streams, each with the number of its waiting messages.
select s.source, s.subject, s.version, s.parked as reason, s.since, count(w.id) as waiting
  from inbox_stream s left join inbox_waiting w using (source, subject)
 where s.parked is not null
 group by s.source, s.subject order by s.source, s.subject

-- name: unreadable
-- The unreadable messages, in the order in which they came.
select id, topic, partition, "offset", reason, since from inbox_waiting where source is null order by id

-- name: take_unreadable
-- Deletes an unreadable message and returns it; no row if there is none of that id.
delete from inbox_waiting where id = $1 and source is null
returning topic, partition, "offset", key, headers, value

-- name: discard_unreadable
-- Moves an unreadable message to the discarded ones; returns its id, or no row if there is none.
with deleted as (delete from inbox_waiting where id = $1 and source is null returning *)
insert into inbox_discarded (topic, partition, "offset", key, headers, value, discarded_by, reason)
select topic, partition, "offset", key, headers, value, $2, $3 from deleted returning id

-- name: discard_waiting
-- Moves a waiting message to the discarded ones. A version that never came leaves a row without a message.
with deleted as (
    delete from inbox_waiting where source = $1 and subject = $2 and version = $3 returning *
)
insert into inbox_discarded
    (source, subject, version, topic, partition, "offset", key, headers, value, discarded_by, reason)
select $1, $2, $3, topic, partition, "offset", key, headers, value, $4, $5
  from (select) as single left join deleted on true

-- name: load_original_facts
-- The last row of each event, whether its fact is current or voided.
select distinct on (event_id) event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position,
       to_position
  from fact where event_id = any($1::uuid[]) order by event_id, from_position desc

-- name: close_facts
-- Ends the current row of each event at a position.
update fact f set to_position = ended.position
  from unnest($1::uuid[], $2::bigint[]) as ended (event_id, position)
 where f.event_id = ended.event_id and f.to_position is null

-- name: open_facts
-- Inserts rows of facts.
insert into fact (event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position, to_position,
                  schema_version, data, known_on)
select event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position, to_position,
       schema_version, data::jsonb, known_on
  from unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::timestamptz[],
    $9::bigint[], $10::bigint[], $11::integer[], $12::text[], $13::date[]
  ) as opened (event_id, study_id, service, type, subject, site_id, version, recorded_at, from_position, to_position,
               schema_version, data, known_on)

-- name: delete_subject_sites
-- Deletes the current site of those participants that have none any more.
delete from subject_site s using unnest($1::text[], $2::text[]) as moved (study_id, subject)
 where s.study_id = moved.study_id and s.subject = moved.subject and present_site(s.study_id, s.subject) is null

-- name: upsert_subject_sites
-- Stores the current site of those participants that have one.
insert into subject_site (study_id, subject, site_id)
select moved.study_id, moved.subject, present.site_id
  from unnest($1::text[], $2::text[]) as moved (study_id, subject)
 cross join lateral (select present_site(moved.study_id, moved.subject) as site_id) as present
 where present.site_id is not null
on conflict (study_id, subject) do update set site_id = excluded.site_id

-- name: load_standing
-- Returns the current facts of a study, or of its subject $2.
select event_id, service, type, subject, site_id, version, recorded_at, schema_version, data, from_position
  from fact
 where study_id = $1 and to_position is null
   and ($2::text is null or subject = $2)
 order by subject, service, version

-- name: store_ends
-- Stores the end offset of each partition, with the time of the measurement.
insert into inbox_end (topic, partition, "end", at)
select topic, partition, "end", clock_timestamp()
  from unnest($1::text[], $2::integer[], $3::bigint[]) as measured (topic, partition, "end") order by 1, 2
on conflict (topic, partition) do update set "end" = excluded."end", at = excluded.at

-- name: store_stuck_counts
-- Stores the numbers of parked streams and unreadable messages, and since when the oldest is stuck.
insert into inbox_standstill (parked, unreadable, oldest, at)
select parked.streams, unreadable.messages, least(parked.oldest, unreadable.oldest), clock_timestamp()
  from (select count(*) as streams, min(since) as oldest from inbox_stream where parked is not null) as parked,
       (select count(*) as messages, min(since) as oldest from inbox_waiting where source is null) as unreadable
on conflict (only_row) do update
   set parked = excluded.parked, unreadable = excluded.unreadable, oldest = excluded.oldest, at = excluded.at

-- name: load_lags
-- Messages behind, and age in seconds of the measurement, by topic.
select e.topic, sum(greatest(e."end" - coalesce(o.next, 0), 0))::bigint as behind,
       extract(epoch from clock_timestamp() - min(e.at))::float8 as age
  from inbox_end e left join inbox_offset o using (topic, partition)
 group by e.topic order by e.topic

-- name: load_stuck_counts
-- The stored counts, with ages in seconds; no row before the first measurement.
select parked, unreadable, extract(epoch from clock_timestamp() - oldest)::float8 as oldest,
       extract(epoch from clock_timestamp() - at)::float8 as age
  from inbox_standstill
