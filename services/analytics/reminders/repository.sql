-- name: studies
-- The studies with derived rows: their state, and whether a member wants digests.
select d.study_id, d.position, d.epoch, d.revision,
       exists (select from subscription s where s.study_id = d.study_id and s.digest) as has_subscribers
  from derived_study d where d.epoch is not null order by d.study_id

-- name: lock_study
-- Whether this transaction is the only one that plans reminders of the study.
select pg_try_advisory_xact_lock(hashtextextended('reminders/' || $1, 0))

-- name: derived_state
-- The position, epoch and last derivation of the study's rows; no row before the first derivation.
select position, epoch, revision from derived_study where study_id = $1 and epoch is not null

-- name: applied_position
-- The position up to which facts of a study have been applied, and its epoch; no row without any.
select position, epoch from study_position where study_id = $1

-- name: progress
-- How far the visits of each site were looked at.
select site_id, seen_on, revision, plan from reminder_progress where study_id = $1

-- name: store_progress
-- Nothing. Stores how far the visits of sites were looked at, and by which plans.
insert into reminder_progress (study_id, site_id, seen_on, plan, revision)
select $1, site_id, seen_on, plan, $5 from unnest($2::text[], $3::date[], $4::text[]) as s (site_id, seen_on, plan)
on conflict (study_id, site_id) do update
   set seen_on = excluded.seen_on, plan = excluded.plan, revision = excluded.revision

-- name: begun_visits
-- The visits of which a step's day lies after `seen`, up to `today`; whether they may be awaited, and whether it is the day
-- after the slot. Sites whose days differ are looked at together: whatever is found needlessly is left as is.
select v.participant_id, v.number, v.contact_on = 'infinity' and v.ends_on = 'infinity' as is_awaited,
       v.slot_ends >= d.seen and v.slot_ends < d.today as has_ended
  from derived_visit v, (select $2::date as seen, $3::date as today) d
 where v.study_id = $1 and v.opens <= d.today
   and v.slot_ends + 16 >= d.today  -- nothing is sent later; most visits of a study pass, so an index would not help
   and d.today >= v.valid_from and d.seen <= v.valid_to
   and v.ends_on >= v.opens - 60  -- a visit whose window opened long after the end was never awaited
   and (v.opens > d.seen
        or (v.target > d.seen and v.target <= d.today)
        or (v.closes >= d.seen and v.closes < d.today)
        or (v.closes + 15 > d.seen and v.closes + 15 <= d.today)
        or (v.closes + 29 > d.seen and v.closes + 29 <= d.today)
        or (v.closes + 43 > d.seen and v.closes + 43 <= d.today)
        or (least(v.closes + $4::integer, v.slot_ends) > d.seen and least(v.closes + $4::integer, v.slot_ends) <= d.today)
        or (v.slot_ends >= d.seen and v.slot_ends < d.today))

-- name: participants_in_slots
-- The participants with a visit at one of the sites whose slot runs on the site's day.
select distinct v.participant_id
  from derived_visit v
  join unnest($2::text[], $3::date[]) as d (site_id, today) on d.site_id = v.site_id
 where v.study_id = $1 and d.today between v.valid_from and v.valid_to
   and v.opens <= d.today and v.slot_ends >= d.today

-- name: unexplained_participants
-- The participants of visits that are not awaited any more, of which something was planned or sent and no reminder says
-- why; after the slot, whether one says so or not.
select distinct b.participant_id
  from (select b.participant_id, b.number, b.has_ended, bool_or(r.state <> 'suppressed') as was_awaited,
               bool_or(coalesce(r.reason in ('reported', 'died', 'withdrew', 'lost', 'study_ended', 'site_closed',
                                             'declared_missed'), false)) as is_explained
          from unnest($2::text[], $3::integer[], $4::boolean[]) as b (participant_id, number, has_ended)
          join reminder r on (r.study_id, r.participant_id, r.visit) = ($1, b.participant_id, b.number)
         group by b.participant_id, b.number, b.has_ended) b
 where b.was_awaited and (b.has_ended or not b.is_explained)

-- name: changed_participants
-- The participants whose rows were derived anew after a revision.
select participant_id from derived_subject where study_id = $1 and revision > $2

-- name: unsettled_participants
-- The participants with reminders of which a later day may say something else.
select distinct participant_id from reminder
 where study_id = $1
   and (state in ('planned', 'failed') or reason in ('snoozed', 'scheduled', 'no_recipient', 'not_current'))

-- name: visits
-- The visits of participants today whose slot runs, has just ended, or that reminders await.
select v.participant_id, v.site_id, w.word as schedule, v.number, v.opens, v.target, v.closes, v.slot_ends,
       v.declared_on, v.scheduled_on, v.snoozed_until, v.is_acknowledged, d.today, visit_state(v, d.today) as state,
       coalesce(visit_reason(v, d.today) = 'declared_missed', false) as is_declared_missed,
       case when v.closing_on <= d.today and v.closing_on < v.ends_on then v.closing_as
            when v.ends_on < 'infinity' then v.ends_as
            when v.absent_until < 'infinity' then $5
            else 0 end as ended_as
  from derived_visit v
  join derived_word w on w.code = v.schedule
  join unnest($2::text[], $3::date[]) as d (site_id, today) on d.site_id = v.site_id
 where v.study_id = $1 and v.participant_id = any($4) and d.today between v.valid_from and v.valid_to
   and ((v.opens <= d.today and v.slot_ends >= d.today - 15)
        or exists (select from reminder r
                    where (r.study_id, r.participant_id, r.schedule, r.visit) = (v.study_id, v.participant_id, w.word, v.number)
                      and (r.state in ('planned', 'failed')
                           or r.reason in ('snoozed', 'scheduled', 'no_recipient', 'not_current'))))

-- name: not_current
-- Those of the participants whose rows may not say all that is known: a stream is parked, or the derivation failed.
select p.participant_id
  from unnest($2::text[]) as p (participant_id)
 where exists (select from inbox_stream s
                where s.study_id = $1 and s.subject = p.participant_id and s.parked is not null)
    or exists (select from derived_failure f where (f.study_id, f.participant_id) = ($1, p.participant_id))

-- name: excluded
-- Those of the participants who are in no analysis, and those without any visit.
select s.participant_id, s.is_excluded
  from derived_subject s
 where s.study_id = $1 and s.participant_id = any($2)
   and (s.is_excluded
        or not exists (select from derived_visit v where (v.study_id, v.participant_id) = (s.study_id, s.participant_id)))

-- name: reminders
-- The reminders of visits, and those of the participants that a later day may change.
select r.reminder_id, r.study_id, r.participant_id, r.schedule, r.visit, r.step, r.audience, r.addressee, r.site_id,
       r.target, r.day, r.state, coalesce(r.reason, '') as reason, r.changed_on,
       r.state = 'planned' and exists (select from reminder_delivery d
                                        where d.reminder_id = r.reminder_id and d.state = 'planned') as is_in_flight
  from reminder r
 where r.study_id = $1 and r.participant_id = any($2)
   and ((r.participant_id, r.schedule, r.visit)
        in (select * from unnest($3::text[], $4::text[], $5::integer[]))
        or r.state in ('planned', 'failed') or r.reason in ('snoozed', 'scheduled', 'no_recipient', 'not_current'))

-- name: store_reminders
-- Nothing. Inserts or replaces reminders.
insert into reminder (reminder_id, study_id, participant_id, schedule, visit, step, audience, addressee, site_id, target,
                      day, state, reason, changed_on, changed_at)
select r.*, $15
  from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[],
              $9::text[], $10::date[], $11::date[], $12::text[], $13::text[], $14::date[]) as r
on conflict (reminder_id) do update
   set site_id = excluded.site_id, target = excluded.target, day = excluded.day, state = excluded.state,
       reason = excluded.reason, changed_on = excluded.changed_on, changed_at = excluded.changed_at

-- name: append_events
-- Nothing. Appends events to the streams of participants, in their order, with their outbox rows.
with stated as (
    select * from unnest($2::text[], $3::text[], $4::uuid[], $5::text[], $6::jsonb[], $7::jsonb[], $8::smallint[])
             with ordinality as s (stream_id, site_id, event_id, type, data, meta, shard, place)
), heads as (
    insert into streams (study_id, stream_id, version, site_id)
    select $1, stream_id, count(*), (array_agg(site_id order by place desc))[1] from stated group by stream_id
    on conflict (study_id, stream_id) do update
       set version = streams.version + excluded.version, site_id = excluded.site_id
    returning stream_id, version
), ordered as materialized (
    select s.*, (h.version - count(*) over (partition by stream_id)
                 + row_number() over (partition by stream_id order by place))::integer as version
      from stated s join heads h using (stream_id)
     order by place
), numbered as materialized (
    select nextval('event_seq') as seq, ordered.* from ordered
), recorded as (
    insert into events (study_id, stream_id, version, seq, event_id, type, schema_version, site_id, data, meta, recorded_at)
    select $1, stream_id, version, seq, event_id, type, 1, site_id, data, meta, $9 from numbered
)
insert into outbox (seq, shard, study_id, stream_id, version)
select seq, shard, $1, stream_id, version from numbered

-- name: notify_relay
-- Nothing. Tells the relay of new events.
select pg_notify('quartal_bell', $1)

-- name: composed_members
-- The members for whom a digest of the addressee's day was composed.
select distinct member from reminder_delivery where study_id = $1 and addressee = $2 and day = $3

-- name: addressees_with_digests
-- The addressees for whom something is planned that is in no digest whose outcome is open, and those of these addressees who
-- had a digest of their day.
select r.addressee from reminder r
 where r.study_id = $1 and r.state = 'planned'
   and not exists (select from reminder_delivery x where x.reminder_id = r.reminder_id and x.state = 'planned')
 union
select d.addressee
  from reminder_delivery d join unnest($2::text[], $3::date[]) as k (addressee, day) using (addressee, day)
 where d.study_id = $1

-- name: digest_reminders
-- The reminders of an addressee that are planned and in no digest whose outcome is open, and those in the digests of a day.
select r.reminder_id, r.participant_id from reminder r
 where r.study_id = $1 and r.addressee = $2 and r.state = 'planned'
   and not exists (select from reminder_delivery x where x.reminder_id = r.reminder_id and x.state = 'planned')
 union
select r.reminder_id, r.participant_id
  from reminder r join reminder_delivery d using (reminder_id)
 where d.study_id = $1 and d.addressee = $2 and d.day = $3

-- name: open_counts
-- Per site: due and overdue visits, open data queries, and enrolled participants in follow-up without visits.
select d.site_id,
       (select count(*) from derived_visit v
         where v.study_id = $1 and v.site_id = d.site_id and d.today between v.valid_from and v.valid_to
           and visit_state(v, d.today) in ('due', 'overdue')) as open_visits,
       (select count(*) from derived_data_query q
         where q.study_id = $1 and q.site_id = d.site_id and q.explained_by = '{}'
           and d.today between q.opens_on and q.closes_on) as open_queries,
       u.without_schedule, u.longest_days
  from unnest($2::text[], $3::date[]) as d (site_id, today)
 cross join lateral (
       select count(*) as without_schedule, d.today - min(s.enrolled_on) as longest_days
         from derived_subject s
        where s.study_id = $1 and s.site_id = d.site_id and s.is_screened and not s.is_excluded
          and s.enrolled_on < 'infinity' and s.index_ended_on = 'infinity'
          and s.dead_from = 'infinity' and s.participation_ends_on = 'infinity'
          and not exists (select from derived_absence a
                           where (a.study_id, a.participant_id, a.resumed_on) = (s.study_id, s.participant_id, 'infinity'))
          and not exists (select from derived_visit v where (v.study_id, v.participant_id) = (s.study_id, s.participant_id))
       ) as u

-- name: add_deliveries
-- Nothing. Stores that a composed digest of a member has these reminders.
insert into reminder_delivery (reminder_id, study_id, member, addressee, day, state, message_id, at)
select reminder_id, $2, $3, $4, $5, 'planned', $6, $7 from unnest($1::uuid[]) as reminder_id
on conflict (reminder_id, member, day) do nothing

-- name: end_deliveries
-- The reminders of a digest whose outcome is known now.
update reminder_delivery set state = $5, code = $6, at = $7
 where study_id = $1 and member = $2 and addressee = $3 and day = $4 and state = 'planned'
returning reminder_id

-- name: outcomes
-- What became of reminders on a day: the number of members to whom they were sent, and with those to whom they may be.
select r.reminder_id, r.study_id, r.participant_id, r.schedule, r.visit, r.step, r.audience, r.addressee, r.site_id,
       r.target, r.day, r.state, coalesce(r.reason, '') as reason, r.changed_on,
       count(*) filter (where d.state = 'sent') as reached, count(*) filter (where d.state <> 'failed') as recipients
  from reminder r join reminder_delivery d using (reminder_id)
 where r.reminder_id = any($1) and d.day = $2
 group by r.reminder_id

-- name: store_status
-- Nothing. Stores the sign of life of the worker, and since when its digests wait for each cause.
insert into reminder_status (study_id, ticked_at, waits)
select $1, clock_timestamp(), coalesce(jsonb_object_agg(cause, clock_timestamp()), '{}') from unnest($2::text[]) as cause
on conflict (study_id) do update
   set ticked_at = excluded.ticked_at,
       waits = excluded.waits || (select coalesce(jsonb_object_agg(key, value), '{}')
                                    from jsonb_each(reminder_status.waits) where excluded.waits ? key)

-- name: store_signs_of_life
-- Nothing. Stores signs of life of the worker in studies whose digests wait for nothing.
update reminder_status set ticked_at = clock_timestamp(), waits = '{}' where study_id = any($1)

-- name: count_outcomes
-- Nothing. Adds to the numbers of sent and failed reminders of a study.
update reminder_status set sent = sent + $2, failed = failed + $3 where study_id = $1

-- name: status
-- For every study with rows: seconds since the last sign of life of the worker, in a study without one since the last
-- fact was applied, everything that its digests wait for and how long,
-- reminders that are planned and that nobody receives, since when the oldest of them is planned, the outcomes, and mails
-- that were tried more than once; whether no mail at all was taken since.
select d.study_id,
       extract(epoch from clock_timestamp() - coalesce(s.ticked_at, p.applied_at))::float8 as silent_seconds,
       array(select key from jsonb_each_text(s.waits) order by key) as causes,
       array(select extract(epoch from clock_timestamp() - value::timestamptz)::float8
               from jsonb_each_text(s.waits) order by key) as waiting_seconds,
       coalesce(s.sent, 0) as sent, coalesce(s.failed, 0) as failed, u.planned, u.unreached,
       coalesce(extract(epoch from clock_timestamp() - u.oldest), 0)::float8 as oldest_seconds,
       m.undelivered, m.undelivered > 0 and not exists (
           select from mail where state = 'sent' and ended_at > m.tried_since) as is_mail_stuck
  from derived_study d
  join study_position p using (study_id)
  left join reminder_status s using (study_id)
 cross join lateral (
       select count(*) filter (where r.state = 'planned') as planned,
              count(*) filter (where r.reason = 'no_recipient') as unreached,
              min(r.changed_at) filter (where r.state = 'planned') as oldest
         from reminder r
        where r.study_id = d.study_id
          and (r.state in ('planned', 'failed')
               or r.reason in ('snoozed', 'scheduled', 'no_recipient', 'not_current'))) as u
 cross join lateral (
       select count(*) as undelivered, min(composed_at) as tried_since from mail
        where mail.study_id = d.study_id and state = 'waiting' and attempts > 1) as m
 where d.epoch is not null
 order by d.study_id

-- name: is_done
-- Whether the reminders of sites are planned for their days from the newest rows, wait for nothing, and are all sent.
select not exists (
           select from unnest($2::text[], $3::date[]) as d (site_id, today)
             left join reminder_progress p on (p.study_id, p.site_id) = ($1, d.site_id)
            where p.seen_on is distinct from d.today
               or p.revision is distinct from (select revision from derived_study where study_id = $1))
   and not exists (select from reminder_status where study_id = $1 and waits <> '{}')
   and not exists (select from reminder r join reminder_delivery x using (reminder_id)
                    where r.study_id = $1 and r.state = 'planned' and x.state = 'planned')

-- name: count_sent
-- The number of reminders of each step that were sent on a day.
select step, count(*) as reminders from reminder
 where study_id = $1 and state = 'sent' and changed_on = $2 group by step order by step

-- name: restore_event
-- Nothing. Stores an event that was published and that the database lacks; its stream has its version then.
with head as (
    insert into streams (study_id, stream_id, version, site_id) values ($1, $2, $3, $4)
    on conflict (study_id, stream_id) do update
       set version = greatest(streams.version, excluded.version), site_id = excluded.site_id
)
insert into events (study_id, stream_id, version, seq, event_id, type, schema_version, site_id, data, meta, recorded_at)
values ($1, $2, $3, nextval('event_seq'), $5, $6, $7, $4, $8, $9, $10)
