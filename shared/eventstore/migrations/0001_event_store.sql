-- One service's event store. {app} works under row-level security, {system} (relay, auditor) sees every study.

create table streams (
    study_id   text    not null,
    stream_id  text    not null,
    version    integer not null check (version > 0),
    site_id    text,                       -- the tenant of the whole stream; null: readable by the whole study
    search_key bytea,                      -- blind index of the site's own number
    summary    jsonb   not null default '{}',
    primary key (study_id, stream_id)
);
create unique index streams_search_key on streams (study_id, site_id, search_key) where search_key is not null;
create index streams_site on streams (study_id, site_id, stream_id);

-- Drawn one by one: a block of numbers kept by a connection would break the order within a stream.
create sequence event_seq cache 1;

create table events (
    study_id       text        not null,
    stream_id      text        not null,
    version        integer     not null,
    seq            bigint      not null,
    xid            xid8        not null default pg_current_xact_id(),
    event_id       uuid        not null unique,
    type           text        not null,
    schema_version integer     not null,
    site_id        text,                   -- the site that stated it, whoever has the stream today
    data           jsonb       not null,
    sealed         bytea,
    meta           jsonb       not null,
    recorded_at    timestamptz not null,
    primary key (study_id, stream_id, version)
);

create table outbox (
    seq       bigint   primary key,
    xid       xid8     not null default pg_current_xact_id(),
    shard     smallint not null,
    study_id  text     not null,
    stream_id text     not null,
    version   integer  not null
);
create index outbox_shard_xid on outbox (shard, xid);

create table idempotency (
    study_id    text        not null,
    key         text        not null,
    site_id     text        not null,      -- '*' for facts of the study itself
    stream_id   text        not null,
    fingerprint bytea       not null,
    outcome     jsonb       not null,
    recorded_at timestamptz not null,
    primary key (study_id, key, site_id)
);

create table data_keys (
    study_id  text  not null,
    stream_id text  not null,
    wrapped   bytea not null,
    primary key (study_id, stream_id)
);

create table relay_cursor (
    shard             smallint    primary key,
    done              text        not null,     -- pg_snapshot up to which everything was published
    upto              text,                     -- pg_snapshot of a backlog that is being paged through …
    last_seq          bigint      not null default 0,  -- … and how far
    epoch             bigint      not null default 0,
    owner             text,
    until             timestamptz not null default '-infinity',
    system_identifier bigint      not null
);

create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'what was recorded is never changed' using errcode = 'QR000';
end $$;

create trigger events_stay before update or delete on events for each row execute function refuse_change();
create trigger events_are_kept before truncate on events for each statement execute function refuse_change();
create trigger outbox_stays before update on outbox for each row execute function refuse_change();

alter table streams      enable row level security;
alter table streams      force row level security;
alter table events       enable row level security;
alter table events       force row level security;
alter table outbox       enable row level security;
alter table outbox       force row level security;
alter table idempotency  enable row level security;
alter table idempotency  force row level security;
alter table data_keys    enable row level security;
alter table data_keys    force row level security;
alter table relay_cursor enable row level security;
alter table relay_cursor force row level security;

-- A setting that was never made is null, one that was made in an earlier transaction is '': both match nothing.
create policy streams_seen on streams for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (site_id is null or (select current_setting('quartal.site', true)) in ('*', site_id))
);
create policy streams_made on streams for insert to {app} with check (
    study_id = (select current_setting('quartal.study', true))
    and (site_id is null or (select current_setting('quartal.site', true)) in ('*', site_id))
);
create policy streams_moved on streams for update to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (site_id is null or (select current_setting('quartal.site', true)) in ('*', site_id))
) with check (study_id = (select current_setting('quartal.study', true)));

create policy events_seen on events for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and exists (select from streams s where s.study_id = events.study_id and s.stream_id = events.stream_id)
);
create policy events_made on events for insert to {app} with check (
    study_id = (select current_setting('quartal.study', true))
);
create policy outbox_made on outbox for insert to {app} with check (
    study_id = (select current_setting('quartal.study', true))
);
create policy idempotency_own on idempotency for all to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (site_id = '*' or (select current_setting('quartal.site', true)) in ('*', site_id))
);
create policy data_keys_own on data_keys for all to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and exists (select from streams s where s.study_id = data_keys.study_id and s.stream_id = data_keys.stream_id)
) with check (study_id = (select current_setting('quartal.study', true)));

create policy streams_system on streams for all to {system} using (true);
create policy events_system on events for all to {system} using (true);
create policy outbox_system on outbox for all to {system} using (true);
create policy idempotency_system on idempotency for select to {system} using (true);
create policy relay_cursor_system on relay_cursor for all to {system} using (true);

grant usage on schema public to {app}, {system};
grant select, insert on streams, events, idempotency, data_keys to {app};
grant update (version, site_id, search_key, summary) on streams to {app};
grant insert on outbox to {app};
grant usage on sequence event_seq to {app};
grant select on streams, events, outbox, idempotency to {system};
grant delete on outbox to {system};
grant select, insert, update on relay_cursor to {system};
grant insert on outbox to {system};

-- Appends all or nothing, for the tenant that it is told, so that one statement is enough. The check of the version comes before any sequence value is drawn, so that within a stream
-- the order of seq is the order of version. Raises QR001: the stream moved; QR002: the study moved; QR003: key taken.
create function append_v1(
    p_study text, p_stream text, p_expected integer, p_study_version integer,
    p_site text, p_search_key bytea, p_summary jsonb, p_data_key bytea,
    p_event_ids uuid[], p_types text[], p_schema_versions integer[], p_site_of_events text,
    p_data text[], p_sealed bytea[], p_meta text[], p_recorded_at timestamptz, p_shard smallint,
    p_key text, p_key_site text, p_fingerprint bytea, p_outcome jsonb, p_tenant_site text
) returns void language plpgsql as $$
declare
    study_version integer;
    site_before text;
    next bigint;
begin
    perform set_config('quartal.study', p_study, true), set_config('quartal.site', p_tenant_site, true);
    if p_stream = p_study then
        perform pg_advisory_xact_lock(hashtextextended(p_study, 0));
    else
        perform pg_advisory_xact_lock_shared(hashtextextended(p_study, 0));
        select version into study_version from streams where study_id = p_study and stream_id = p_study;
        if study_version is distinct from p_study_version then
            raise exception 'the study moved' using errcode = 'QR002';
        end if;
    end if;
    if p_key is not null then
        insert into idempotency values
            (p_study, p_key, p_key_site, p_stream, p_fingerprint, p_outcome, p_recorded_at)
            on conflict do nothing;
        if not found then
            raise exception 'the key is taken' using errcode = 'QR003';
        end if;
    end if;
    if p_expected = 0 then
        insert into streams values (p_study, p_stream, cardinality(p_types), p_site, p_search_key, p_summary)
            on conflict (study_id, stream_id) do nothing;
    else
        select site_id into site_before from streams where study_id = p_study and stream_id = p_stream;
        if found and site_before is distinct from p_site then
            -- A transfer: no one site sees the row both before and after. The tenant that moves it has just seen it.
            perform set_config('quartal.site', '*', true);
        end if;
        update streams
           set version = version + cardinality(p_types), site_id = p_site, search_key = p_search_key, summary = p_summary
         where study_id = p_study and stream_id = p_stream and version = p_expected;
    end if;
    if not found then
        raise exception 'the stream moved' using errcode = 'QR001';
    end if;
    if p_data_key is not null then
        insert into data_keys values (p_study, p_stream, p_data_key);
    end if;
    for place in 1 .. cardinality(p_types) loop
        next := nextval('event_seq');
        insert into events
            (study_id, stream_id, version, seq, event_id, type, schema_version, site_id, data, sealed, meta, recorded_at)
        values
            (p_study, p_stream, p_expected + place, next, p_event_ids[place], p_types[place], p_schema_versions[place],
             p_site_of_events, p_data[place]::jsonb, p_sealed[place], p_meta[place]::jsonb, p_recorded_at);
        insert into outbox (seq, shard, study_id, stream_id, version)
        values (next, p_shard, p_study, p_stream, p_expected + place);
    end loop;
end $$;
