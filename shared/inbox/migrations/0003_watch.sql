-- What a look at Kafka and at what waits found, for metrics and pages: counts of this service, and of no participant.

create table inbox_end (
    topic     text        not null,
    partition integer     not null,
    "end"     bigint      not null,            -- where the next message will be
    at        timestamptz not null,
    primary key (topic, partition)
);

create table inbox_standstill (
    only_row   boolean     primary key default true check (only_row),
    parked     bigint      not null,           -- streams
    unreadable bigint      not null,           -- messages of which nobody can tell the stream
    oldest     timestamptz,                    -- since when the first of them waits
    at         timestamptz not null
);

alter table inbox_end        enable row level security;
alter table inbox_end        force row level security;
alter table inbox_standstill enable row level security;
alter table inbox_standstill force row level security;

create policy inbox_offset_seen on inbox_offset for select to {app} using (true);
create policy inbox_end_seen on inbox_end for select to {app} using (true);
create policy inbox_standstill_seen on inbox_standstill for select to {app} using (true);
create policy inbox_end_system on inbox_end for all to {system} using (true);
create policy inbox_standstill_system on inbox_standstill for all to {system} using (true);

grant select on inbox_offset, inbox_end, inbox_standstill to {app};
grant select, insert, update on inbox_end, inbox_standstill to {system};
