-- name: load
-- The subscription of a member.
select email, address, confirmed_at, renewed_at, digest, calendar, away_until, site_id
  from subscription where study_id = $1 and member = $2;

-- name: save
-- Nothing. Writes the member's choice, and renews the subscription.
insert into subscription (study_id, member, email, digest, calendar, away_until, site_id, renewed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (study_id, member) do update
   set email = excluded.email, digest = excluded.digest, calendar = excluded.calendar,
       away_until = excluded.away_until, site_id = excluded.site_id, renewed_at = excluded.renewed_at;

-- name: delete
-- Nothing. Ends the subscription of a member.
delete from subscription where study_id = $1 and member = $2;

-- name: void_confirmations
-- Nothing. Makes the links void that were mailed to a member of the study.
update address_confirmation set is_used = true where study_id = $1 and member = $2;

-- name: recent_confirmations
-- The number of confirmation mails since a time for the member in any study, and to the address by anybody.
select count(*) filter (where member = $1) as of_member, count(*) filter (where lower(address) = lower($2)) as to_address
  from address_confirmation where requested_at > $3;

-- name: request_confirmation
-- Nothing. Keeps a request to confirm an address; earlier ones of the member in the study are void.
insert into address_confirmation (request_id, study_id, member, address, requested_at, expires_at)
values ($1, $2, $3, $4, $5, $6);

-- name: remove_expired_confirmations
-- Nothing. Removes requests that expired before a time.
delete from address_confirmation where expires_at < $1;

-- name: find_confirmation
-- The study and the member of an unused request.
select study_id, member, address from address_confirmation
 where request_id = $1 and member = $2 and not is_used and expires_at > $3;

-- name: use_confirmation
-- The address of the member's request, which is used by that.
update address_confirmation set is_used = true
 where request_id = $1 and study_id = $2 and member = $3 and not is_used and expires_at > $4
returning address;

-- name: confirm
-- The study, if the member still wants messages to go to the address.
update subscription set address = $3, confirmed_at = $4, renewed_at = $4, refusals = 0
 where study_id = $1 and member = $2 and email = $3
returning study_id;

-- name: unconfirm
-- Nothing. No message goes to the member until the address is confirmed again.
update subscription set confirmed_at = null, refusals = 0 where study_id = $1 and member = $2;

-- name: subscribed_members
-- The members of a study with a confirmed address who want digests.
select member, address, site_id as hour_of_site, away_until, renewed_at
  from subscription
 where study_id = $1 and digest and confirmed_at is not null and address is not null
 order by member;

-- name: members
-- All members of a study with a subscription, and when they renewed it.
select member, renewed_at from subscription where study_id = $1;

-- name: studies
-- The studies with subscriptions.
select distinct study_id from subscription;
