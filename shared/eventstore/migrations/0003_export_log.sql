-- Who took facts out of the service, page by page. Appended to, never changed. {app} writes it and reads it for the
-- whole study only: whether the caller may read it is asked before.

create table export_log (
    place       bigint      generated always as identity primary key,
    study_id    text        not null,
    export_id   uuid        not null,
    what        text        not null,
    exported_by text        not null,      -- subject of the token
    exported_at timestamptz not null,
    site_id     text,                      -- of this site only
    after_row   text        not null,      -- where the page began
    row_count   integer     not null
);
create index export_log_study on export_log (study_id, place);

create trigger export_log_stays before update or delete on export_log for each row execute function refuse_change();
create trigger export_log_is_kept before truncate on export_log for each statement execute function refuse_change();

alter table export_log enable row level security;
alter table export_log force row level security;

create policy export_log_made on export_log for insert to {app} with check (
    study_id = (select current_setting('quartal.study', true))
);
create policy export_log_seen on export_log for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) = '*'
);
create policy export_log_system on export_log for select to {system} using (true);

grant select, insert on export_log to {app};
grant select on export_log to {system};
