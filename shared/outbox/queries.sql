-- name: create_cursor
-- Creates the cursor of a shard before the first event, bound to this database.
insert into relay_cursor (shard, done, system_identifier)
select $1, '1:1:', system_identifier from pg_control_system()
    on conflict do nothing

-- name: acquire
-- Leases the shard to $2 for $3 seconds; no row while another relay has the lease. `same_database` is false if the
-- cursor belongs to another database, or to a later state of this one.
update relay_cursor
   set epoch = epoch + 1, owner = $2, until = clock_timestamp() + make_interval(secs => $3)
 where shard = $1 and until < clock_timestamp()
returning shard, epoch, done, upto, last_seq,
          system_identifier = (select system_identifier from pg_control_system())
          and pg_snapshot_xmax(pg_current_snapshot()) >= pg_snapshot_xmax(coalesce(upto, done)::pg_snapshot)
          and not exists (
              select from outbox where outbox.shard = $1 and xid >= pg_snapshot_xmax(pg_current_snapshot())
          ) as same_database

-- name: renew
-- Extends the lease of epoch $2; no row if another relay has acquired the shard since.
update relay_cursor set until = clock_timestamp() + make_interval(secs => $3) where shard = $1 and epoch = $2

-- name: renew_idle
-- Extends the lease of epoch $2 of a relay that has nothing to publish; no row if another relay has acquired the shard.
update relay_cursor
   set until = clock_timestamp() + make_interval(secs => $3), published_at = clock_timestamp()
 where shard = $1 and epoch = $2

-- name: store_cursor
-- Stores the cursor and extends the lease of epoch $2; no row if another relay has acquired the shard since.
update relay_cursor
   set done = $4, upto = $5, last_seq = $6, until = clock_timestamp() + make_interval(secs => $3),
       published_at = case when $5::text is null then clock_timestamp() else published_at end
 where shard = $1 and epoch = $2

-- name: release
-- Ends the lease of epoch $2.
update relay_cursor set until = '-infinity' where shard = $1 and epoch = $2

-- name: snapshot
-- The current snapshot of transactions.
select pg_current_snapshot()::text

-- name: first_page
-- The first $5 events after row $4 that are visible in snapshot $3 and were not in $2, by `seq`.
-- Materialized, or the planner might walk the primary key from its first row.
with fresh as materialized (
    select seq, study_id, stream_id, version from outbox
     where shard = $1
       and (xid >= pg_snapshot_xmax($2::text::pg_snapshot)
            or xid = any (array(select pg_snapshot_xip($2::text::pg_snapshot))))
       and pg_visible_in_snapshot(xid, $3::text::pg_snapshot)
), page as materialized (
    select * from fresh where seq > $4 order by seq limit $5
)
select page.seq, e.study_id, e.stream_id, e.version, e.event_id, e.type, e.schema_version, e.site_id, e.data, e.meta,
       e.recorded_at
  from page join events e using (study_id, stream_id, version)
 order by page.seq

-- name: next_page
-- The next $5 events of the same set, after row $4.
-- Here the walk along the primary key is wanted: it begins where the last page ended.
with page as materialized (
    select seq, study_id, stream_id, version from outbox
     where shard = $1 and seq > $4
       and not pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
       and pg_visible_in_snapshot(xid, $3::text::pg_snapshot)
     order by seq limit $5
)
select page.seq, e.study_id, e.stream_id, e.version, e.event_id, e.type, e.schema_version, e.site_id, e.data, e.meta,
       e.recorded_at
  from page join events e using (study_id, stream_id, version)
 order by page.seq

-- name: published_seconds
-- Seconds since everything was published, in the shard that is furthest behind; null until each shard was published.
select case when bool_and(published_at is not null)
            then extract(epoch from clock_timestamp() - min(published_at))::float8 end
  from relay_cursor

-- name: status
-- Each shard with its lease, the number of unpublished events, and the age in seconds of the oldest.
select c.shard, c.owner, c.epoch, c.until > clock_timestamp() as is_leased, waiting.lag,
       extract(epoch from clock_timestamp() - waiting.oldest)::float8 as oldest
  from relay_cursor c
 cross join lateral (
       select count(*) as lag, min(e.recorded_at) as oldest
         from outbox o join events e using (study_id, stream_id, version)
        where o.shard = c.shard
          and (o.xid >= pg_snapshot_xmax(c.done::pg_snapshot)
               or o.xid = any (array(select pg_snapshot_xip(c.done::pg_snapshot))))
          and (c.upto is null or o.seq > c.last_seq or not pg_visible_in_snapshot(o.xid, c.upto::pg_snapshot))
 ) waiting
 order by c.shard

-- name: find_orphaned_shard
-- The highest shard from $1 on that has unpublished events and no relay; no row if there is none.
select o.shard from outbox o left join relay_cursor c using (shard)
 where o.shard >= $1
   and (c.shard is null
        or c.until < clock_timestamp()         -- else another relay looks at it
        and (o.xid >= pg_snapshot_xmax(c.done::pg_snapshot)
             or o.xid = any (array(select pg_snapshot_xip(c.done::pg_snapshot))))
        and (c.upto is null or o.seq > c.last_seq or not pg_visible_in_snapshot(o.xid, c.upto::pg_snapshot)))
 order by o.shard desc limit 1

-- name: prune
-- Deletes at most $1 rows that every snapshot from the cursor on sees as published.
delete from outbox where seq in (
    select o.seq from relay_cursor c
      join outbox o on o.shard = c.shard and o.xid < pg_snapshot_xmin(c.done::pg_snapshot)
     limit $1
)

-- name: history
-- All events in the order of their recording. On the topic too the newest come last, which shows an earlier state.
select study_id, stream_id, version, event_id, type, schema_version, site_id, data, meta, recorded_at from events
 order by seq

-- name: count_study_events
-- The number of recorded events of a study.
select count(*) from events where study_id = $1

-- name: count_events
-- The number of recorded events, in all studies.
select count(*) from events

-- name: find_missing_events
-- Ids of those events that the database does not have, or has another event in the place of.
select published.event_id
  from unnest($1::text[], $2::text[], $3::integer[], $4::uuid[]) as published (study_id, stream_id, version, event_id)
 where not exists (
       select from events e
        where (e.study_id, e.stream_id, e.version, e.event_id)
              = (published.study_id, published.stream_id, published.version, published.event_id)
 )

-- name: delete_resynced
-- Deletes the outbox rows that a resync as of snapshot $1 makes superfluous, and those of a later state.
delete from outbox
 where xid < pg_snapshot_xmin($1::text::pg_snapshot) or xid >= pg_snapshot_xmax(pg_current_snapshot())

-- name: reset_cursors
-- Sets the cursors of shards 0 to $1 - 1, and of all others that exist, to snapshot $2 of this database.
insert into relay_cursor (shard, done, epoch, system_identifier)
select shard, $2, 1, system_identifier
  from (select generate_series(0, $1::integer - 1)::smallint as shard union select shard from relay_cursor) as every,
       pg_control_system()
    on conflict (shard) do update
   set done = excluded.done, upto = null, last_seq = 0, epoch = relay_cursor.epoch + 1, owner = null,
       until = '-infinity', system_identifier = excluded.system_identifier

-- name: notify
-- Notifies the relay of new events in the studies.
select pg_notify('quartal_bell', study_id) from unnest($1::text[]) as study_id

-- name: incarnation
-- The present start of the server, the database, and the table of events.
select server_started, database, events from incarnation

-- name: confirm
-- Stores that this incarnation has all published events, so that the service may record.
insert into confirmation (server_started, database, events) values ($1, $2, $3)
    on conflict (single) do update
   set server_started = excluded.server_started, database = excluded.database, events = excluded.events,
       confirmed_at = clock_timestamp()

-- name: withdraw
-- Deletes the confirmation, so that the service may not record.
delete from confirmation

-- name: is_confirmed
-- Whether the confirmation is of the present incarnation.
select exists (select from confirmation join incarnation using (server_started, database, events))
