-- name: begin_session
-- Adds a session.
insert into sessions (handle_hash, subject, sealed) values ($1, $2, $3)

-- name: delete_ended_sessions
-- Deletes the sessions that have ended by themselves.
delete from sessions where began_at <= now() - $1::interval or active_at <= now() - $2::interval

-- name: find_session
-- Returns a session that has not ended, the time left to it if nothing happens, the time until it ends in any case, and
-- whether the provider confirmed it within $4.
select subject, extract(epoch from least(began_at + $2::interval, active_at + $3::interval) - now()) as seconds_left,
       extract(epoch from began_at + $2::interval - now()) as seconds_until_end,
       sealed, renewed_at > now() - $4::interval as is_fresh
  from sessions
 where handle_hash = $1 and began_at > now() - $2::interval and active_at > now() - $3::interval

-- name: claim_renewal
-- Claims the renewal for a request. Returns true unless another one has claimed it within $2.
update sessions set renewal_claimed_at = now()
 where handle_hash = $1 and (renewal_claimed_at is null or renewal_claimed_at <= now() - $2::interval)
returning true

-- name: finish_renewal
-- Keeps what the provider gave, and ends the claim.
update sessions set sealed = $2, renewed_at = now(), renewal_claimed_at = null where handle_hash = $1

-- name: replace_sealed
-- Keeps what is left after a renewal that failed, and ends the claim.
update sessions set sealed = $2, renewal_claimed_at = null where handle_hash = $1

-- name: release_claim
-- Ends the claim of a renewal that failed.
update sessions set renewal_claimed_at = null where handle_hash = $1

-- name: note_activity
-- Notes that the person was last active $2 ago.
update sessions set active_at = greatest(active_at, now() - $2::interval) where handle_hash = $1

-- name: end_session
-- Deletes a session and returns what is sealed in it.
delete from sessions where handle_hash = $1 returning sealed

-- name: signing_keys
-- Returns the keys that are in use or will be, the newest first.
select kid, public_key, sealed, made_at, made_at <= now() - $2::interval as is_known_everywhere
  from session_keys where made_at > now() - $1::interval order by made_at desc, kid

-- name: lock_signing_keys
-- Makes other processes wait that are about to add a key.
select pg_advisory_xact_lock(7265942)

-- name: add_signing_key
-- Adds a key.
insert into session_keys (kid, public_key, sealed) values ($1, $2, $3)

-- name: delete_old_keys
-- Deletes keys whose last token has expired.
delete from session_keys where made_at <= now() - $1::interval
