-- The study that a member opened under an idempotency key. Results of requests are kept within their study: without this, the
-- same key with the id of another study would open a second one. The key is a keyed hash of the member and the key.
create table opened_study (
    key      text primary key,
    study_id text not null
);

create trigger opened_study_stays before update or delete on opened_study for each row execute function refuse_change();
create trigger opened_study_is_kept before truncate on opened_study for each statement execute function refuse_change();

alter table opened_study enable row level security;
alter table opened_study force row level security;

create policy opened_study_own on opened_study for all to {app} using (true) with check (true);

grant select, insert on opened_study to {app};
