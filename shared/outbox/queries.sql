-- name: make_cursor
insert into relay_cursor (shard, done, system_identifier)
select $1, '1:1:', system_identifier from pg_control_system()
    on conflict do nothing

-- name: acquire
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
update relay_cursor set until = clock_timestamp() + make_interval(secs => $3) where shard = $1 and epoch = $2

-- name: move
update relay_cursor
   set done = $4, upto = $5, last_seq = $6, until = clock_timestamp() + make_interval(secs => $3)
 where shard = $1 and epoch = $2

-- name: release
update relay_cursor set until = '-infinity' where shard = $1 and epoch = $2

-- name: snapshot
select pg_current_snapshot()::text

-- name: first_page
-- What is visible in $3 and was not in $2. Materialized, or the planner might walk the primary key from its first row.
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
-- The same set, behind row $4 of it. Here the walk along the primary key is wanted: it begins where the last page ended.
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

-- name: status
select c.shard, c.owner, c.epoch, c.until > clock_timestamp() as held, waiting.rows,
       extract(epoch from clock_timestamp() - waiting.oldest)::float8 as oldest
  from relay_cursor c
 cross join lateral (
       select count(*) as rows, min(e.recorded_at) as oldest
         from outbox o join events e using (study_id, stream_id, version)
        where o.shard = c.shard
          and (o.xid >= pg_snapshot_xmax(c.done::pg_snapshot)
               or o.xid = any (array(select pg_snapshot_xip(c.done::pg_snapshot))))
          and (c.upto is null or o.seq > c.last_seq or not pg_visible_in_snapshot(o.xid, c.upto::pg_snapshot))
 ) waiting
 order by c.shard

-- name: stranded
select o.shard from outbox o left join relay_cursor c using (shard)
 where o.shard >= $1
   and (c.shard is null
        or c.until < clock_timestamp()         -- else another relay looks at it
        and (o.xid >= pg_snapshot_xmax(c.done::pg_snapshot)
             or o.xid = any (array(select pg_snapshot_xip(c.done::pg_snapshot))))
        and (c.upto is null or o.seq > c.last_seq or not pg_visible_in_snapshot(o.xid, c.upto::pg_snapshot)))
 order by o.shard desc limit 1

-- name: prune
delete from outbox where seq in (
    select o.seq from relay_cursor c
      join outbox o on o.shard = c.shard and o.xid < pg_snapshot_xmin(c.done::pg_snapshot)
     limit $1
)

-- name: history
-- The newest last, on the topic too: by that an earlier state is recognised.
select study_id, stream_id, version, event_id, type, schema_version, site_id, data, meta, recorded_at from events
 order by seq

-- name: count_events
select count(*) from events

-- name: missing
select said.event_id
  from unnest($1::text[], $2::text[], $3::integer[], $4::uuid[]) as said (study_id, stream_id, version, event_id)
 where not exists (
       select from events e
        where (e.study_id, e.stream_id, e.version, e.event_id)
              = (said.study_id, said.stream_id, said.version, said.event_id)
 )

-- name: forget
delete from outbox
 where xid < pg_snapshot_xmin($1::text::pg_snapshot) or xid >= pg_snapshot_xmax(pg_current_snapshot())

-- name: begin_anew
insert into relay_cursor (shard, done, epoch, system_identifier)
select shard, $2, 1, system_identifier
  from (select generate_series(0, $1::integer - 1)::smallint as shard union select shard from relay_cursor) as every,
       pg_control_system()
    on conflict (shard) do update
   set done = excluded.done, upto = null, last_seq = 0, epoch = relay_cursor.epoch + 1, owner = null,
       until = '-infinity', system_identifier = excluded.system_identifier

-- name: ring
select pg_notify('quartal_bell', study_id) from unnest($1::text[]) as study_id

-- name: incarnation
select server_started, database, events from incarnation

-- name: confirm
insert into confirmation (server_started, database, events) values ($1, $2, $3)
    on conflict (single) do update
   set server_started = excluded.server_started, database = excluded.database, events = excluded.events,
       confirmed_at = clock_timestamp()

-- name: withdraw
delete from confirmation

-- name: is_confirmed
select exists (select from confirmation join incarnation using (server_started, database, events))
