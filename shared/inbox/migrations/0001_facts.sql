-- The facts that stand, and that stood, of whatever this service consumes. {system} writes, {app} reads its tenant's.

create table subject_site (
    study_id text not null,
    subject  text not null,
    site_id  text not null check (site_id <> ''),  -- where the participant is now
    primary key (study_id, subject)
);

create table fact (
    study_id       text        not null,
    service        text        not null,       -- of the stream that states it
    type           text        not null,
    subject        text        not null,       -- the stream: a participant, or the study itself
    event_id       uuid        not null,       -- a corrected event keeps its id, site, version and recorded_at …
    site_id        text,
    version        integer     not null,
    recorded_at    timestamptz not null,
    schema_version integer     not null,       -- … and gets the content that it reads as from from_position on
    data           jsonb       not null,
    from_position  bigint      not null,
    to_position    bigint      check (to_position > from_position),
    primary key (event_id, from_position)
);
create unique index fact_live on fact (event_id) where to_position is null;
create index fact_live_of_subject on fact (study_id, subject, service, version) where to_position is null;
create index fact_of_type on fact (study_id, type, from_position);

-- Which of two transfers came last is told by the last day that each may have been: a month is its last day.
create function latest_day(stated text) returns date immutable parallel safe language sql as $$
    select case length(stated)
           when 4 then make_date(stated::integer, 12, 31)
           when 7 then ((stated || '-01')::date + interval '1 month')::date - 1
           else stated::date end
$$;

create function present_site(of_study text, of_subject text) returns text stable language sql as $$
    select coalesce(data ->> 'to_site', data ->> 'site_id') from fact
     where study_id = of_study and subject = of_subject and service = 'enrollment' and to_position is null
       and type in ('participant.screened', 'participant.transferred')
     order by type = 'participant.transferred' desc, latest_day(data ->> 'on') desc, version desc
     limit 1
$$;

alter table subject_site enable row level security;
alter table subject_site force row level security;
alter table fact         enable row level security;
alter table fact         force row level security;

create policy subject_site_seen on subject_site for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy fact_seen on fact for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (
        subject = study_id
        or (select current_setting('quartal.site', true)) = '*'
        or exists (
            select from subject_site s
             where s.study_id = fact.study_id and s.subject = fact.subject
               and s.site_id = (select current_setting('quartal.site', true))
        )
    )
);
create policy subject_site_system on subject_site for all to {system} using (true);
create policy fact_system on fact for all to {system} using (true);

grant usage on schema public to {app}, {system};
grant select on fact, subject_site to {app};
grant select, insert, delete, truncate on fact, subject_site to {system};
grant update (to_position) on fact to {system};
grant update (site_id) on subject_site to {system};
