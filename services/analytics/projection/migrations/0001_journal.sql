-- The journal: every fact in the order in which it was applied, by study. A system of record: rebuilds read it.

create table study_position (
    study_id   text        primary key,
    position   bigint      not null,
    epoch      uuid        not null default gen_random_uuid(),
    applied_at timestamptz not null
);

create table journal (
    study_id       text        not null,
    position       bigint      not null,       -- 1, 2, 3 … without a gap
    source         text        not null,
    subject        text        not null,
    version        integer     not null,
    event_id       uuid        not null,
    type           text        not null,
    schema_version integer     not null,
    site_id        text,                       -- the site that stated it
    data           jsonb       not null,
    meta           jsonb       not null,
    recorded_at    timestamptz not null,
    applied_at     timestamptz not null,       -- never goes back as the position goes on
    primary key (study_id, position)
);
create unique index journal_line on journal (source, subject, version);
create index journal_subject on journal (study_id, subject, position);

create function journal_stays() returns trigger language plpgsql as $$
begin
    raise exception 'what was applied is never changed' using errcode = 'QR000';
end $$;
create trigger journal_stays before update or delete on journal for each row execute function journal_stays();
create trigger journal_is_kept before truncate on journal for each statement execute function journal_stays();

alter table study_position enable row level security;
alter table study_position force row level security;
alter table journal        enable row level security;
alter table journal        force row level security;

create policy study_position_seen on study_position for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
);
create policy journal_seen on journal for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (
        subject = study_id
        or (select current_setting('quartal.site', true)) = '*'
        or exists (
            select from subject_site s
             where s.study_id = journal.study_id and s.subject = journal.subject
               and s.site_id = (select current_setting('quartal.site', true))
        )
    )
);
create policy study_position_system on study_position for all to {system} using (true);
create policy journal_system on journal for all to {system} using (true);

grant select on study_position, journal to {app};
grant select, insert, update on study_position to {system};
grant select, insert on journal to {system};
