-- name: claim_digest
-- The id of the mail of a member, site and day, if the digest had not been claimed.
insert into digest (study_id, member, site_id, day, mail_id) values ($1, $2, $3, $4, gen_random_uuid())
on conflict (study_id, member, site_id, day) do nothing
returning mail_id;

-- name: add_mail
-- Nothing. Adds a mail that waits to be sent.
insert into mail (mail_id, study_id, member, kind, address, message_id, message, composed_at, expires_at, attempt_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $8);

-- name: take_mails
-- Mails whose attempt has come, which the caller now sends. A claim of another process that is too old counts as none.
update mail set claimed_at = $1, attempts = attempts + 1
 where mail_id in (
       select mail_id from mail
        where state = 'waiting' and attempt_at <= $1 and (claimed_at is null or claimed_at <= $2)
        order by attempt_at, mail_id limit $3 for update skip locked)
returning mail_id, study_id, member, kind, address, message, expires_at, attempts, claimed_at;

-- name: postpone
-- Nothing. Ends a claim; the mail is tried again later.
update mail set claimed_at = null, attempt_at = $3 where mail_id = $1 and claimed_at = $2 and state = 'waiting';

-- name: end_mail
-- The mail, if the caller still held the claim.
update mail set state = $3, code = $4, ended_at = $5, claimed_at = null
 where mail_id = $1 and claimed_at = $2 and state = 'waiting'
returning mail_id;

-- name: digest_of_mail
-- The digest that a mail is.
select study_id, member, site_id, day from digest where mail_id = $1;

-- name: addressee_of_mail
-- The site of the digest that a mail is or repeats: a repeat has the message id of its digest.
select d.site_id
  from mail m
  join mail own on (own.study_id, own.member, own.message_id) = (m.study_id, m.member, m.message_id)
  join digest d on d.mail_id = own.mail_id
 where m.mail_id = $1 and own.study_id = $2 and own.member = $3;

-- name: count_refusal
-- Digests in a row that the mail server refused for a member.
update subscription set refusals = refusals + 1 where study_id = $1 and member = $2 and address = $3 returning refusals;

-- name: clear_refusals
-- Nothing. The mail server took a digest of the member.
update subscription set refusals = 0 where study_id = $1 and member = $2 and address = $3 and refusals > 0;

-- name: next_attempt
-- The time of the next attempt of any mail that nobody sends at the moment.
select min(case when claimed_at is null then attempt_at else claimed_at + $1 end) from mail where state = 'waiting';

-- name: empty_old_mails
-- Nothing. Removes address and message of mails that ended before a time.
update mail set address = null, message = null where state <> 'waiting' and ended_at < $1 and message is not null;

-- name: digest_mails
-- The digests of a member for these addressees and days, with the state and the address of their mails.
select d.site_id, m.mail_id, m.state, m.address
  from digest d
  join unnest($3::text[], $4::date[]) as o (site_id, day) on (o.site_id, o.day) = (d.site_id, d.day)
  join mail m on m.mail_id = d.mail_id
 where d.study_id = $1 and d.member = $2;

-- name: repeat_mail
-- Nothing. Has the bytes of a mail sent once more.
insert into mail (mail_id, study_id, member, kind, address, message_id, message, composed_at, expires_at, attempt_at)
select $2, study_id, member, 'repeat', address, message_id, message, $3, $4, $3 from mail where mail_id = $1;

-- name: recent_digests
-- How often digests were composed for a member, or repeated, since a time. Those of several sites at once count once.
select count(distinct composed_at) from mail
 where study_id = $1 and member = $2 and kind in ('digest', 'repeat') and composed_at > $3;
