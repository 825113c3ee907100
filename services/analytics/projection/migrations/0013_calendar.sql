-- Calendars of members: the secret address of each, and the events as calendars have received them. They are records of
-- their own like the journal: no rebuild replaces them.

create table calendar_address (
    study_id    text   not null,
    member      text   not null,
    generation  bigint not null,                -- the secret is derived from it; a later address has a higher one
    secret_hash bytea  not null unique,         -- SHA-256 of the secret, which is not stored
    primary key (study_id, member),
    foreign key (study_id, member) references subscription on delete cascade
);

create table calendar_event (
    study_id       text        not null,
    uid            uuid        not null,        -- the same at every site
    site_id        text        not null,
    participant_id text        not null,
    schedule       text        not null,        -- the course that the visits are counted from, or index
    number         integer     not null,
    part           text        not null check (part in ('target', 'window')),
    starts         date        not null,
    ends           date        not null,        -- its last day
    cancelled_on   date,                        -- the day at the site when it had fallen away
    sequence       integer     not null,
    digest         bytea       not null,        -- of the content that the text shows
    changed_at     timestamptz not null,
    text           bytea       not null,        -- iCalendar
    primary key (study_id, uid, site_id)
);
create index calendar_event_ends on calendar_event (study_id, site_id, ends);

alter table calendar_address enable row level security;
alter table calendar_address force row level security;
alter table calendar_event enable row level security;
alter table calendar_event force row level security;

create policy calendar_address_own on calendar_address for all to {app} using (
    study_id = current_setting('quartal.study', true) and member = current_setting('quartal.member', true)
);
create policy calendar_address_system on calendar_address for all to {system} using (true);
create policy calendar_event_system on calendar_event for all to {system} using (true);

grant select, insert, update, delete on calendar_address to {app}, {system};
grant select, insert, update on calendar_event to {system};
