-- Records events only in a database that was compared with what was published since its server started.
--
-- An earlier state that was put back (a dump, a copy of the folder, a standby) would give versions away again that
-- consumers have applied already. What it brings along names another start of the server, another database or another
-- table, so it counts as not compared. `shared/outbox` compares and confirms.
create table confirmation (
    single         boolean     primary key default true check (single),
    server_started timestamptz not null,
    database       oid         not null,
    events         oid         not null,
    confirmed_at   timestamptz not null default clock_timestamp()
);
alter table confirmation enable row level security;
alter table confirmation force row level security;
create policy confirmation_seen on confirmation for select to {app} using (true);
create policy confirmation_system on confirmation for all to {system} using (true);
grant select on confirmation to {app};
grant select, insert, update, delete on confirmation to {system};

-- A file of this database lies in a folder that is named by the database's oid: cheaper to ask than pg_database.
create function own_oid(relation oid) returns oid stable language sql
return split_part(pg_relation_filepath(relation), '/', -2)::oid;

create view incarnation as
select pg_postmaster_start_time() as server_started, own_oid('events'::regclass) as database, 'events'::regclass::oid as events;
grant select on incarnation to {app}, {system};

create function refuse_unconfirmed() returns trigger language plpgsql as $$
begin
    if not exists (
        select from confirmation
         where server_started = pg_postmaster_start_time() and database = own_oid(tg_relid) and events = tg_relid
    ) then
        raise exception 'not compared with what was published' using errcode = 'QR004';
    end if;
    return null;
end $$;
create trigger events_in_a_confirmed_database before insert on events
   for each statement execute function refuse_unconfirmed();
