-- Documents of sealed data cuts: the report, the changes since the data cut before, and whatever a later version adds. They are
-- written once, like the files of figures. Documents that a seal does not promise were added to it by a later version.

alter table cut_seal add column documents text[] not null default '{}';  -- made by the version that sealed the figures

create table cut_document (
    study_id     text        not null,
    name         text        not null,         -- of the data cut
    document     text        not null,         -- its file name, such as report.pdf
    sealed_later boolean     not null,         -- by a later version than that which sealed the figures
    software     text        not null,         -- the version that made it
    sealed_at    timestamptz not null default clock_timestamp(),
    primary key (study_id, name, document),
    foreign key (study_id, name) references cut_seal
);

create table cut_document_file (
    study_id         text    not null,
    name             text    not null,
    document         text    not null,
    scope            text    not null,         -- as in cut_seal_file; a scope that has no such document has no row
    content          bytea   not null,
    sha256           bytea   not null,         -- of the content
    participant_rows integer not null,         -- participants whom it shows singly, for the log of reads
    primary key (study_id, name, document, scope),
    foreign key (study_id, name, document) references cut_document
);

create trigger cut_document_stays before update or delete on cut_document for each row execute function cut_seal_stays();
create trigger cut_document_is_kept before truncate on cut_document for each statement execute function cut_seal_stays();
create trigger cut_document_file_stays before update or delete on cut_document_file
    for each row execute function cut_seal_stays();
create trigger cut_document_file_is_kept before truncate on cut_document_file
    for each statement execute function cut_seal_stays();

alter table cut_document      enable row level security;
alter table cut_document      force row level security;
alter table cut_document_file enable row level security;
alter table cut_document_file force row level security;

create policy cut_document_system on cut_document for all to {system} using (true);
create policy cut_document_file_system on cut_document_file for all to {system} using (true);
create policy cut_document_file_seen on cut_document_file for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (
        scope = 'readers'
        or (select current_setting('quartal.site', true)) = '*'
        or scope = 'site:' || (select current_setting('quartal.site', true))
    )
);

grant select on cut_document_file to {app};
grant select, insert on cut_document, cut_document_file to {system};
