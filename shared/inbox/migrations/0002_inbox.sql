-- How far what other services publish was taken in: by topic for Kafka, by stream for what it says.

create table inbox_offset (
    topic     text    not null,
    partition integer not null,
    next      bigint  not null,
    primary key (topic, partition)
);

create table inbox_stream (
    study_id text    not null,
    source   text    not null,
    subject  text    not null,
    version  integer not null default 0,       -- the last one that was applied
    parked   text,                             -- why nothing is applied any more; null: nothing is waiting
    since    timestamptz,
    primary key (source, subject)
);
create index inbox_stream_parked on inbox_stream (source, subject) where parked is not null;

create table inbox_waiting (
    id         bigint      primary key generated always as identity,
    source     text,                           -- null with subject and version: nobody can tell whose it is
    subject    text,
    version    integer,
    topic      text        not null,
    partition  integer     not null,
    "offset"   bigint      not null,
    key        bytea,
    headers    bytea       not null,           -- JSON: [[name, value in base64 or null], …]
    value      bytea,
    reason     text,                           -- of a message whose stream nobody can tell
    since      timestamptz not null default now()
);
create unique index inbox_waiting_line on inbox_waiting (source, subject, version) where source is not null;
create unique index inbox_waiting_unreadable on inbox_waiting (topic, partition, "offset", md5(value)) nulls not distinct
    where source is null;

create table inbox_discarded (
    id           bigint      primary key generated always as identity,
    source       text,
    subject      text,
    version      integer,                      -- of an event that never came: only this, no message
    topic        text,
    partition    integer,
    "offset"     bigint,
    key          bytea,
    headers      bytea,
    value        bytea,
    discarded_by text        not null,
    reason       text        not null,
    at           timestamptz not null default now()
);

alter table inbox_offset    enable row level security;
alter table inbox_offset    force row level security;
alter table inbox_stream    enable row level security;
alter table inbox_stream    force row level security;
alter table inbox_waiting   enable row level security;
alter table inbox_waiting   force row level security;
alter table inbox_discarded enable row level security;
alter table inbox_discarded force row level security;

create policy inbox_stream_seen on inbox_stream for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (
        subject = study_id
        or (select current_setting('quartal.site', true)) = '*'
        or exists (
            select from subject_site s
             where s.study_id = inbox_stream.study_id and s.subject = inbox_stream.subject
               and s.site_id = (select current_setting('quartal.site', true))
        )
    )
);
create policy inbox_offset_system on inbox_offset for all to {system} using (true);
create policy inbox_stream_system on inbox_stream for all to {system} using (true);
create policy inbox_waiting_system on inbox_waiting for all to {system} using (true);
create policy inbox_discarded_system on inbox_discarded for all to {system} using (true);

grant select on inbox_stream to {app};
grant select, insert, update on inbox_offset, inbox_stream, inbox_waiting to {system};
grant delete on inbox_waiting to {system};
grant select, insert on inbox_discarded to {system};
