-- Every read of rows about single participants. Appended to, never changed. {app} writes it and reads it for the whole
-- study only: whether the caller may read it is asked before.

create table read_log (
    place          bigint      generated always as identity primary key,
    study_id       text        not null,
    read_by        text        not null,      -- subject of the token
    read_at        timestamptz not null default clock_timestamp(),
    what           text        not null,
    site_id        text,                      -- of this site only
    participant_id text,                      -- of this participant only
    row_count      integer     not null,
    address        text        not null       -- of the client
);
create index read_log_study on read_log (study_id, place);

create function refuse_read_log_change() returns trigger language plpgsql as $$
begin
    raise exception 'what was recorded is never changed' using errcode = 'QR000';
end $$;

create trigger read_log_stays before update or delete on read_log for each row execute function refuse_read_log_change();
create trigger read_log_is_kept before truncate on read_log for each statement execute function refuse_read_log_change();

alter table read_log enable row level security;
alter table read_log force row level security;

create policy read_log_made on read_log for insert to {app} with check (
    study_id = current_setting('quartal.study', true)
);
create policy read_log_seen on read_log for select to {app} using (
    study_id = current_setting('quartal.study', true) and current_setting('quartal.site', true) = '*'
);
create policy read_log_system on read_log for select to {system} using (true);

grant select, insert on read_log to {app};
grant select on read_log to {system};
