-- name: wants_calendar
-- Whether the member's subscription wants a calendar; no row without a subscription.
select calendar from subscription where study_id = $1 and member = $2

-- name: load_address
-- The generation and the secret's hash of a member's address.
select generation, secret_hash from calendar_address where study_id = $1 and member = $2

-- name: save_address
-- Nothing. Replaces the address of a member.
insert into calendar_address (study_id, member, generation, secret_hash) values ($1, $2, $3, $4)
on conflict (study_id, member) do update set generation = excluded.generation, secret_hash = excluded.secret_hash
