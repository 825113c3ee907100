-- Rows may be derived anew without a new fact: after a new epoch, by a new release, by a rebuild. A revision counts the
-- derivations of a study, so that whoever keeps rows in memory notices each of them.

alter table derived_study add column epoch uuid;                       -- of the positions that the rows belong to
alter table derived_study add column revision bigint not null default 0;
alter table derived_subject add column revision bigint not null default 0;  -- of the derivation that wrote the rows

drop index derived_subject_position;
create index derived_subject_revision on derived_subject (study_id, revision);
create index derived_subject_unscreened on derived_subject (study_id) where not is_screened and not is_excluded;
