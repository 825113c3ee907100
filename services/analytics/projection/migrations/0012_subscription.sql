-- Subscriptions of members to messages, and the mails that go to them. They are records of their own like the journal:
-- no rebuild replaces them. A member reads and writes the own rows only (quartal.member); {system} sends.

create table subscription (
    study_id     text        not null,
    member       text        not null,
    email        text        not null,              -- as the member stated it last
    address      text,                              -- confirmed: messages go there; null: nowhere
    confirmed_at timestamptz,                       -- null: no message goes until it is confirmed (again)
    renewed_at   timestamptz not null,              -- a subscription ends 12 months later
    digest       boolean     not null,
    calendar     boolean     not null,
    away_until   date,                              -- no digest before this day
    site_id      text,                              -- whose hour and holidays count for a study-wide member
    refusals     integer     not null default 0,    -- digests in a row that the mail server refused for good
    primary key (study_id, member)
);

create table address_confirmation (
    request_id   uuid        primary key,
    study_id     text        not null,
    member       text        not null,
    address      text        not null,
    requested_at timestamptz not null,
    expires_at   timestamptz not null,
    is_used      boolean     not null default false
);
create index address_confirmation_member on address_confirmation (study_id, member);

create table mail (
    mail_id     uuid        primary key,
    study_id    text        not null,
    member      text        not null,
    kind        text        not null check (kind in ('digest', 'repeat', 'confirmation', 'notice')),
    address     text,                               -- null: removed, some time after the end
    message_id  text        not null,
    message     bytea,                              -- every attempt sends these bytes; removed with the address
    composed_at timestamptz not null,
    expires_at  timestamptz not null,               -- not sent by then: failed (expired)
    state       text        not null default 'waiting' check (state in ('waiting', 'sent', 'failed')),
    attempts    integer     not null default 0,
    attempt_at  timestamptz not null,               -- of the next attempt
    claimed_at  timestamptz,                        -- by a process that sends it; after 5 minutes by another one
    ended_at    timestamptz,
    code        text,                               -- of the failure: the mail server's number, or expired
    check (state <> 'waiting' or (address is not null and message is not null))
);
create index mail_waiting on mail (attempt_at) where state = 'waiting';
create index mail_member on mail (study_id, member);

create table digest (
    study_id text not null,
    member   text not null,
    site_id  text not null,                         -- '*': all sites
    day      date not null,                         -- local, at the site
    mail_id  uuid not null unique references mail deferrable initially deferred,
    primary key (study_id, member, site_id, day)
);

alter table subscription enable row level security;
alter table subscription force row level security;
alter table address_confirmation enable row level security;
alter table address_confirmation force row level security;
alter table mail enable row level security;
alter table mail force row level security;
alter table digest enable row level security;
alter table digest force row level security;

create policy subscription_own on subscription for all to {app} using (
    study_id = current_setting('quartal.study', true) and member = current_setting('quartal.member', true)
);
create policy address_confirmation_own on address_confirmation for all to {app} using (
    study_id = current_setting('quartal.study', true) and member = current_setting('quartal.member', true)
);
create policy subscription_system on subscription for all to {system} using (true);
create policy address_confirmation_system on address_confirmation for all to {system} using (true);
create policy mail_system on mail for all to {system} using (true);
create policy digest_system on digest for all to {system} using (true);

grant select, insert, update, delete on subscription to {app}, {system};
grant select, update on address_confirmation to {app};
grant select, insert, update, delete on address_confirmation, mail, digest to {system};
