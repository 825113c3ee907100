-- Derived rows: what a participant's facts come to, as days and codes. services/analytics/derivation computes them, and the
-- deriver alone writes them, all rows of a participant at once. Columns of texts hold the code of a word.

create table derived_study (
    study_id           text    primary key,
    position           bigint  not null,       -- of the journal: rows say what its facts say up to here
    recorded_at        timestamptz,            -- by then every fact up to the position had been recorded
    derivation_version integer not null,
    plans              bytea   not null        -- digest of the study's own facts that rows depend on
);

create table derived_word (
    code integer generated always as identity primary key,
    word text    not null unique
);

create table derived_failure (
    study_id       text        not null,
    participant_id text        not null,
    position       bigint      not null,       -- at which the derivation failed
    reason         text        not null,
    since          timestamptz not null default clock_timestamp(),
    primary key (study_id, participant_id)
);

create table derived_data_query (
    study_id       text    not null,
    participant_id text    not null,
    site_id        text    not null,
    sequence       integer not null,
    key            text    not null,
    rule           text,                       -- null: an explanation whose data query no longer exists
    event_ids      uuid[]  not null,
    text           text    not null,
    opens_on       date    not null,
    closes_on      date    not null,
    since          date    not null,
    explained_by   uuid[]  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_subject (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    position                 bigint   not null,
    digest                   bytea    not null,
    reason                   text     not null,
    enrolling_site           integer  not null,
    is_excluded              boolean  not null,
    is_screened              boolean  not null,
    sex                      integer  not null,
    birth_year               integer  not null,
    screened_on              date     not null,
    screened_precision       integer  not null,
    screen_failed_on         date     not null,
    screen_failed_precision  integer  not null,
    consented_on             date     not null,
    consented_precision      integer  not null,
    enrolled_on              date     not null,
    enrolled_precision       integer  not null,
    index_course             integer  not null,
    index_started_on         date     not null,
    index_started_precision  integer  not null,
    index_ended_on           date     not null,
    index_ended_precision    integer  not null,
    participation_ends_on    date     not null,
    participation_ends_precision integer  not null,
    alive_on                 date     not null,
    alive_precision          integer  not null,
    died_on                  date     not null,
    died_precision           integer  not null,
    dead_from                date     not null,
    death_cause              integer  not null,
    is_death_presumed        boolean  not null,
    baseline_on              date     not null,
    baseline_precision       integer  not null,
    diagnosed_on             date     not null,
    diagnosed_precision      integer  not null,
    histology                integer  not null,
    primary_site             integer  not null,
    t                        integer  not null,
    n                        integer  not null,
    m                        integer  not null,
    tnm_edition              integer  not null,
    performance_scale        integer  not null,
    performance_value        integer  not null,
    molecular_status         integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_subject_day (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    kind                     integer  not null,
    day_on                   date     not null,
    day_precision            integer  not null,
    code                     integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_course (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    course                   integer  not null,
    is_index                 boolean  not null,
    intent                   integer  not null,
    started_on               date     not null,
    started_precision        integer  not null,
    ended_on                 date     not null,
    ended_precision          integer  not null,
    ended_as                 integer  not null,
    reason                   integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_target (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    course                   integer  not null,
    target                   integer  not null,
    rank                     integer  not null,
    valid_from               date     not null,
    valid_to                 date     not null,
    prescribed_precision     integer  not null,
    label                    integer  not null,
    modality                 integer  not null,
    technique                integer  not null,
    delivery                 integer  not null,
    fractions                integer  not null,
    fraction_cgy             integer  not null,
    total_cgy                integer  not null,
    isodose_percent          integer  not null,
    boost_of                 integer  not null,
    treats_metastasis        boolean  not null,
    treats_cns               boolean  not null,
    fractions_delivered      integer  not null,
    delivered_cgy            integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_line (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    line                     integer  not null,
    setting                  integer  not null,
    agents                   integer  not null,
    planned_cycles           integer  not null,
    started_on               date     not null,
    started_precision        integer  not null,
    stopped_on               date     not null,
    stopped_precision        integer  not null,
    reason                   integer  not null,
    cycles_given             integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_lesion_episode (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    lesion                   integer  not null,
    course                   integer  not null,
    kind                     integer  not null,
    body_site                integer  not null,
    delivery                 integer  not null,
    named_on                 date     not null,
    named_precision          integer  not null,
    retracted_on             date     not null,
    failed_on                date     not null,
    failed_precision         integer  not null,
    retreated_on             date     not null,
    retreated_precision      integer  not null,
    procedure_on             date     not null,
    procedure_precision      integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_lesion_status (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    lesion                   integer  not null,
    assessed_on              date     not null,
    assessed_precision       integer  not null,
    status                   integer  not null,
    basis                    integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_assessment (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    number                   integer  not null,
    assessed_on              date     not null,
    assessed_precision       integer  not null,
    timepoint                integer  not null,
    course                   integer  not null,
    is_complete              boolean  not null,
    dictionary               integer  not null,
    amendment                integer  not null,
    graded                   integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_finding (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    number                   integer  not null,
    term                     integer  not null,
    grade                    integer  not null,
    assessed_on              date     not null,
    assessed_precision       integer  not null,
    event_on                 date     not null,
    event_precision          integer  not null,
    relation                 integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_symptom (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    symptom                  integer  not null,
    day_on                   date     not null,
    day_precision            integer  not null,
    severity                 integer  not null,
    change                   integer  not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_visit (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    schedule                 integer  not null,
    anchor_on                date     not null,
    anchor_precision         integer  not null,
    valid_from               date     not null,
    valid_to                 date     not null,
    number                   integer  not null,
    opens                    date     not null,
    target                   date     not null,
    closes                   date     not null,
    slot_ends                date     not null,
    contact_on               date     not null,
    contact_precision        integer  not null,
    missed_on                date     not null,
    primary key (study_id, participant_id, sequence)
);

create table derived_absence (
    study_id                 text     not null,
    participant_id           text     not null,
    site_id                  text     not null,
    sequence                 integer  not null,
    lost_on                  date     not null,
    lost_precision           integer  not null,
    resumed_on               date     not null,
    resumed_precision        integer  not null,
    reason                   integer  not null,
    alive_before             date     not null,
    primary key (study_id, participant_id, sequence)
);

create index derived_subject_position on derived_subject (study_id, position);

alter table derived_subject enable row level security;
alter table derived_subject force row level security;
create policy derived_subject_system on derived_subject for all to {system} using (true);
alter table derived_subject_day enable row level security;
alter table derived_subject_day force row level security;
create policy derived_subject_day_system on derived_subject_day for all to {system} using (true);
alter table derived_course enable row level security;
alter table derived_course force row level security;
create policy derived_course_system on derived_course for all to {system} using (true);
alter table derived_target enable row level security;
alter table derived_target force row level security;
create policy derived_target_system on derived_target for all to {system} using (true);
alter table derived_line enable row level security;
alter table derived_line force row level security;
create policy derived_line_system on derived_line for all to {system} using (true);
alter table derived_lesion_episode enable row level security;
alter table derived_lesion_episode force row level security;
create policy derived_lesion_episode_system on derived_lesion_episode for all to {system} using (true);
alter table derived_lesion_status enable row level security;
alter table derived_lesion_status force row level security;
create policy derived_lesion_status_system on derived_lesion_status for all to {system} using (true);
alter table derived_assessment enable row level security;
alter table derived_assessment force row level security;
create policy derived_assessment_system on derived_assessment for all to {system} using (true);
alter table derived_finding enable row level security;
alter table derived_finding force row level security;
create policy derived_finding_system on derived_finding for all to {system} using (true);
alter table derived_symptom enable row level security;
alter table derived_symptom force row level security;
create policy derived_symptom_system on derived_symptom for all to {system} using (true);
alter table derived_visit enable row level security;
alter table derived_visit force row level security;
create policy derived_visit_system on derived_visit for all to {system} using (true);
alter table derived_absence enable row level security;
alter table derived_absence force row level security;
create policy derived_absence_system on derived_absence for all to {system} using (true);
alter table derived_data_query enable row level security;
alter table derived_data_query force row level security;
create policy derived_data_query_system on derived_data_query for all to {system} using (true);
alter table derived_study enable row level security;
alter table derived_study force row level security;
create policy derived_study_system on derived_study for all to {system} using (true);
alter table derived_word enable row level security;
alter table derived_word force row level security;
create policy derived_word_system on derived_word for all to {system} using (true);
alter table derived_failure enable row level security;
alter table derived_failure force row level security;
create policy derived_failure_system on derived_failure for all to {system} using (true);

create policy derived_subject_visible on derived_subject for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_subject_day_visible on derived_subject_day for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_course_visible on derived_course for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_target_visible on derived_target for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_line_visible on derived_line for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_lesion_episode_visible on derived_lesion_episode for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_lesion_status_visible on derived_lesion_status for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_assessment_visible on derived_assessment for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_finding_visible on derived_finding for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_symptom_visible on derived_symptom for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_visit_visible on derived_visit for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_absence_visible on derived_absence for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_data_query_visible on derived_data_query for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) in ('*', site_id)
);
create policy derived_study_visible on derived_study for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
);
create policy derived_failure_visible on derived_failure for select to {app} using (
    study_id = (select current_setting('quartal.study', true))
    and (select current_setting('quartal.site', true)) = '*'
);

grant select on derived_subject, derived_subject_day, derived_course, derived_target, derived_line, derived_lesion_episode, derived_lesion_status, derived_assessment, derived_finding, derived_symptom, derived_visit, derived_absence, derived_data_query, derived_study, derived_failure to {app};
grant select, insert, update, delete on derived_subject, derived_subject_day, derived_course, derived_target, derived_line, derived_lesion_episode, derived_lesion_status, derived_assessment, derived_finding, derived_symptom, derived_visit, derived_absence, derived_data_query, derived_study, derived_failure to {system};
grant select, insert on derived_word to {system};
