-- The log of reminders: what was planned, sent and suppressed, and to which members it was sent. It is no derived row: a
-- rebuild leaves it as it is, and what was sent is never sent again because of one. The worker alone writes it.

create table reminder (
    reminder_id    uuid    primary key,
    study_id       text    not null,
    participant_id text    not null,
    schedule       text    not null,        -- the course whose visits are meant, or 'index'
    visit          integer not null,
    step           text    not null,
    audience       text    not null check (audience in ('site', 'study')),
    addressee      text    not null,        -- the site that is reminded; '*' for the audience study
    site_id        text    not null,        -- that followed the participant at the last change
    target         date    not null,
    day            date    not null,        -- the first day of the step
    state          text    not null check (state in ('planned', 'sent', 'suppressed', 'failed')),
    reason         text,                    -- of a suppressed one; of a failed one the code
    changed_on     date    not null,        -- the day at the site, by the study's clock
    changed_at     timestamptz not null,
    check ((state in ('suppressed', 'failed')) = (reason is not null))
);
create index reminder_visit on reminder (study_id, participant_id, schedule, visit);
create index reminder_listed on reminder (study_id, day desc, reminder_id);
-- Those of which a later day may say something else although nothing is recorded.
create index reminder_unsettled on reminder (study_id, participant_id)
    where state in ('planned', 'failed')
       or reason in ('snoozed', 'scheduled', 'no_recipient', 'not_current');

create table reminder_delivery (
    reminder_id uuid        not null references reminder,
    study_id    text        not null,
    member      text        not null,
    addressee   text        not null,       -- of the digest: a site, or '*' for all
    day         date        not null,       -- of the digest
    state       text        not null check (state in ('planned', 'sent', 'failed')),
    code        text,                       -- of a failed one
    message_id  text        not null,
    at          timestamptz not null,
    primary key (reminder_id, member, day)
);
create index reminder_delivery_digest on reminder_delivery (study_id, member, addressee, day);

-- How far the steps of a site's visits were looked at: up to which of its days, and up to which derivation of rows.
create table reminder_progress (
    study_id  text   not null,
    site_id   text   not null,
    seen_on   date   not null,
    revision  bigint not null,
    primary key (study_id, site_id)
);

-- The last sign of life of the worker, what the digests wait for, and how many reminders had which outcome.
create table reminder_status (
    study_id    text        primary key,
    ticked_at   timestamptz not null,
    waits_for   text,                       -- null: for nothing
    waits_since timestamptz,
    sent        bigint      not null default 0,
    failed      bigint      not null default 0,
    check ((waits_for is null) = (waits_since is null))
);

alter table reminder          enable row level security;
alter table reminder          force row level security;
alter table reminder_delivery enable row level security;
alter table reminder_delivery force row level security;
alter table reminder_progress enable row level security;
alter table reminder_progress force row level security;
alter table reminder_status   enable row level security;
alter table reminder_status   force row level security;

create policy reminder_system on reminder for all to {system} using (true);
create policy reminder_delivery_system on reminder_delivery for all to {system} using (true);
create policy reminder_progress_system on reminder_progress for all to {system} using (true);
create policy reminder_status_system on reminder_status for all to {system} using (true);

-- A site sees the reminders of the participants whom it follows now, whoever was reminded of them.
create policy reminder_visible on reminder for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (
        (select current_setting('quartal.site', true)) = '*'
        or exists (
            select from subject_site s
             where s.study_id = reminder.study_id and s.subject = reminder.participant_id
               and s.site_id = (select current_setting('quartal.site', true))
        )
    )
);
create policy reminder_delivery_visible on reminder_delivery for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and exists (select from reminder r where r.reminder_id = reminder_delivery.reminder_id)
);
create policy reminder_status_visible on reminder_status for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) = '*'
);

grant select on reminder, reminder_delivery, reminder_status to {app};
grant select, insert, update on reminder, reminder_delivery, reminder_progress, reminder_status to {system};

-- Reminders are published by way of an event store and an outbox, as the facts of other services are. The worker appends
-- many at once, and as the system, since it acts for nobody.
grant insert on streams, events to {system};
grant update (version, site_id) on streams to {system};
grant usage on sequence event_seq to {system};
