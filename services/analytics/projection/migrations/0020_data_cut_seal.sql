-- Sealed data cuts: the bytes of every figure as it was when the cut was taken. A seal is no derived row: a rebuild leaves it
-- as it is, and it is written once and never changed.

-- The position of each study at the first start of a version that seals data cuts: cuts up to it are sealed later than they
-- were taken, and say so. The owner sees no rows under forced row-level security.
create table cut_seal_start (
    study_id text   primary key,
    position bigint not null
);
alter table study_position no force row level security;
insert into cut_seal_start select study_id, position from study_position;
alter table study_position force row level security;

create table cut_seal (
    study_id     text        not null,
    name         text        not null,         -- of the data cut
    cut_on       date        not null,         -- its data cut-off
    position     bigint      not null,         -- at which it was applied
    sealed_later boolean     not null,         -- by a later version than that under which it was taken
    frontier     jsonb       not null,         -- [[source, subject, version], …]: the last event of each stream
    digest       bytea       not null,         -- SHA-256 over the frontier and the digests of all events up to the position
    excluded     text[]      not null,         -- participants who are in none of the sealed figures
    software     text        not null,         -- the version that computed the figures
    sealed_at    timestamptz not null default clock_timestamp(),
    primary key (study_id, name)
);

create table cut_seal_file (
    study_id         text    not null,
    name             text    not null,
    scope            text    not null,         -- 'study', 'readers', or 'site:' and a site
    figure           text    not null,
    format           text    not null,         -- 'json', 'csv', 'svg', or 'page': what the page shows beside the picture
    content          bytea   not null,
    sha256           bytea   not null,         -- of the content
    file_name_parts  text[]  not null,
    participant_rows integer not null,         -- rows about single participants, for the log of reads
    primary key (study_id, name, scope, figure, format),
    foreign key (study_id, name) references cut_seal
);

create function cut_seal_stays() returns trigger language plpgsql as $$
begin
    raise exception 'what was sealed is never changed' using errcode = 'QR000';
end $$;
create trigger cut_seal_stays before update or delete on cut_seal for each row execute function cut_seal_stays();
create trigger cut_seal_is_kept before truncate on cut_seal for each statement execute function cut_seal_stays();
create trigger cut_seal_file_stays before update or delete on cut_seal_file
    for each row execute function cut_seal_stays();
create trigger cut_seal_file_is_kept before truncate on cut_seal_file
    for each statement execute function cut_seal_stays();

alter table cut_seal_start enable row level security;
alter table cut_seal_start force row level security;
alter table cut_seal       enable row level security;
alter table cut_seal       force row level security;
alter table cut_seal_file  enable row level security;
alter table cut_seal_file  force row level security;

create policy cut_seal_start_system on cut_seal_start for all to {system} using (true);
create policy cut_seal_system on cut_seal for all to {system} using (true);
create policy cut_seal_file_system on cut_seal_file for all to {system} using (true);
create policy cut_seal_file_seen on cut_seal_file for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (
        scope = 'readers'
        or (select current_setting('quartal.site', true)) = '*'
        or scope = 'site:' || (select current_setting('quartal.site', true))
    )
);

grant select on cut_seal_file to {app};
grant select on cut_seal_start to {system};
grant select, insert on cut_seal, cut_seal_file to {system};
