-- How far the process that seals data cuts is, for pages and commands that wait for it. It is no part of a seal: a row is written
-- while files are made, outside the transaction that stores them, and removed afterward. A process that is killed leaves its row,
-- which no page shows once it is a minute old, and which the next sealing of the same replaces.
create table seal_progress (
    study_id   text        not null,
    name       text        not null,         -- of the data cut
    stage      text        not null,         -- 'figures' or 'documents'
    done       integer     not null,         -- files that are made
    total      integer     not null,         -- and all that will be
    updated_at timestamptz not null,
    primary key (study_id, name, stage)
);

alter table seal_progress enable row level security;
alter table seal_progress force row level security;
create policy seal_progress_system on seal_progress for all to {system} using (true);
grant select, insert, update, delete on seal_progress to {system};
