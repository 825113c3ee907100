-- What silences the reminders of a visit, in its row.

alter table derived_visit add column snoozed_until   date    not null default 'infinity';
alter table derived_visit add column is_acknowledged boolean not null default false;
