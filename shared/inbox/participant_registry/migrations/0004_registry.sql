-- The inbox keeps the heads of studies and participants that another service registers.

grant insert on streams to {system};
grant update (version, site_id, known) on streams to {system};

-- What the inbox took in before it kept them. The owner is bound by row-level security too, and has no policy.
alter table streams      no force row level security;
alter table inbox_stream no force row level security;
alter table subject_site no force row level security;

insert into streams (study_id, stream_id, version)
select study_id, subject, version from inbox_stream
 where subject = study_id and version > 0 and source = '/studies/' || study_id || '/enrollment'
on conflict do nothing;

insert into streams (study_id, stream_id, version, site_id, known)
select line.study_id, line.subject, 0, present.site_id, line.version
  from inbox_stream line join subject_site present using (study_id, subject)
 where line.version > 0 and line.source = '/studies/' || line.study_id || '/enrollment'
on conflict do nothing;

alter table streams      force row level security;
alter table inbox_stream force row level security;
alter table subject_site force row level security;
