-- name: load_stream
-- Returns a stream's events with its head, the version of its study, and the result kept under an idempotency key.
with head as (
    select (select version from streams where study_id = $1 and stream_id = $1) as study_version,
           s.version as stream_version, s.site_id as stream_site, s.search_key, s.summary, s.known, k.fingerprint, k.outcome
      from (select) as one
      left join streams s on s.study_id = $1 and s.stream_id = $2
      left join lateral (
           select fingerprint, outcome from idempotency i
            where i.study_id = $1 and i.key in ($3, $5) and (i.stream_id = $2 or i.site_id = coalesce(s.site_id, $4))
            order by i.stream_id = $2 desc limit 1
      ) k on true
)
select head.*, e.version, e.event_id, e.type, e.schema_version, e.site_id, e.data, e.sealed, e.meta, e.recorded_at
  from head left join events e on e.study_id = $1 and e.stream_id = $2
 order by e.version

-- name: data_key
-- Returns the wrapped data key of a stream.
select wrapped from data_keys where study_id = $1 and stream_id = $2

-- name: append
-- Appends events to a stream, with their outbox rows and the result of the request; raises QR001 to QR004.
select append_v4(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
)

-- name: append_opening
-- Does what `append` does for a study that is opened; raises unique_violation if its key has opened another study.
with opened as (insert into opened_study (key, study_id) values ($26, $1))
select append_v4(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25
)

-- name: opened_study
-- Returns the study that was opened under a key.
select study_id from opened_study where key = $1

-- name: list_streams
-- Returns the heads of the participants' streams that a list shows, by number, from the one after $2 on.
select stream_id, version as stream_version, site_id as stream_site, null::bytea as search_key, summary, known from streams
 where study_id = $1 and stream_id <> $1 and stream_id > $2
   and ($3::text is null or site_id = $3) and ($4::text is null or summary ->> 'status' = $4)
   and ($5::bytea is null or search_key = $5)
 order by stream_id limit $6

-- name: list_events
-- Returns events that sites stated about the participants that the tenant sees now, by stream and version. What a site
-- stated about others, it reads in the order of recording only.
select stream_id, version, event_id, type, schema_version, site_id, data, sealed, meta, recorded_at from events
 where study_id = $1 and stream_id <> $1 and (stream_id, version) > ($2, $3) and site_id = any($4::text[])
   and exists (select from streams s where s.study_id = events.study_id and s.stream_id = events.stream_id)
 order by stream_id, version limit $5

-- name: list_member_events
-- Returns events that a member recorded on a day of the study's clock, the last one first; only those of the study
-- itself if $4.
select stream_id, version, event_id, type, schema_version, site_id, data, sealed, meta, recorded_at from events
 where study_id = $1 and meta ->> 'recorded_by' = $2 and meta ->> 'recorded_on' = $3 and (stream_id = $1) = $4
   and exists (select from streams s where s.study_id = events.study_id and s.stream_id = events.stream_id)
 order by seq desc limit $5

-- name: list_streams_stating
-- Returns participants of site $2 for whom a fact of type $3 has the members $4, as it was recorded or corrected. The
-- index of the site's streams leads to their events.
select stream_id from streams s
 where study_id = $1 and stream_id <> $1 and site_id = $2
   and exists (select from events e
                where e.study_id = s.study_id and e.stream_id = s.stream_id
                  and (e.type = $3 and e.data @> $4::jsonb
                       or e.data -> 'replacement' @> jsonb_build_object('type', $3::text, 'data', $4::jsonb)))
 order by stream_id limit $5

-- name: current_snapshot
-- Returns the current snapshot, the identity of the database, and whether the snapshot follows $1. A restored database
-- counts transactions anew: its snapshots mean other events.
select pg_current_snapshot()::text as text,
       (select system_identifier::text from pg_control_system())
       || '.' || (select timeline_id::text from pg_control_checkpoint()) as database,
       pg_snapshot_xmax(pg_current_snapshot()) >= pg_snapshot_xmax($1::text::pg_snapshot) as follows

-- name: recorded_since
-- Returns participants' events that are visible in snapshot $3 and not in $2, by sequence number. Materialized, because
-- the planner might otherwise read the study from its first event.
with fresh as materialized (
    select seq, stream_id, version from events
     where study_id = $1 and stream_id <> $1 and ($6::text[] is null or site_id = any($6::text[]))
       and (xid >= pg_snapshot_xmax($2::text::pg_snapshot)
            or xid = any (array(select pg_snapshot_xip($2::text::pg_snapshot))))
       and pg_visible_in_snapshot(xid, $3::text::pg_snapshot)
), page as materialized (
    select * from fresh where seq > $4 order by seq limit $5
)
select page.seq, e.stream_id, e.version, e.event_id, e.type, e.schema_version, e.site_id, e.data, e.sealed, e.meta,
       e.recorded_at
  from page join events e on e.study_id = $1 and (e.stream_id, e.version) = (page.stream_id, page.version)
 order by page.seq

-- name: recorded_behind
-- Returns the same events after sequence number $4. Here reading by number is wanted: it begins where the page ended.
select seq, stream_id, version, event_id, type, schema_version, site_id, data, sealed, meta, recorded_at from events
 where study_id = $1 and stream_id <> $1 and ($6::text[] is null or site_id = any($6::text[]))
   and seq > $4
   and not pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
   and pg_visible_in_snapshot(xid, $3::text::pg_snapshot)
 order by seq limit $5
