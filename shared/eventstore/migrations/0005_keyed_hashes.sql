-- Idempotency keys are stored as keyed hashes. Those that were stored in clear stay, and are found as well.

-- The id of the installation's key for event ids. A service that is started with another key would take requests that
-- come again for new ones: it refuses to start.
create table event_key (
    only_row boolean primary key default true check (only_row),
    key_id   bytea   not null
);

create trigger event_key_stays before update or delete on event_key for each row execute function refuse_change();
create trigger event_key_is_kept before truncate on event_key for each statement execute function refuse_change();

alter table event_key enable row level security;
alter table event_key force row level security;

create policy event_key_own on event_key for all to {app} using (true) with check (true);

grant select, insert on event_key to {app};

-- As append_v3. A key is also taken where it was stored in clear. Where `p_yields` and another stream has the search
-- key, this one is kept without it: the same steps in both cases, and the same answer.
create function append_v4(
    p_study text, p_stream text, p_expected integer, p_study_version integer,
    p_site text, p_search_key bytea, p_summary jsonb, p_data_key bytea,
    p_event_ids uuid[], p_types text[], p_schema_versions integer[], p_site_of_events text,
    p_data text[], p_sealed bytea[], p_meta text[], p_recorded_at timestamptz, p_shard smallint,
    p_key text, p_key_site text, p_fingerprint bytea, p_outcome jsonb, p_tenant_site text, p_known integer,
    p_clear_key text, p_yields boolean
) returns void language plpgsql as $$
declare
    study_version integer;
    site_before text;
    next bigint;
    told text;
    locked boolean;
    search_key_kept bytea := p_search_key;
begin
    told := set_config('quartal.study', p_study, true) || set_config('quartal.site', p_tenant_site, true);
    if p_stream = p_study then
        locked := pg_advisory_xact_lock(hashtextextended(p_study, 0)) is null;
    else
        locked := pg_advisory_xact_lock_shared(hashtextextended(p_study, 0)) is null;
        select version into study_version from streams where study_id = p_study and stream_id = p_study;
        if study_version is distinct from p_study_version then
            raise exception 'the study moved' using errcode = 'QR002';
        end if;
    end if;
    if p_key is not null then
        if exists (select from idempotency i
                    where i.study_id = p_study and i.key = p_clear_key and i.site_id = p_key_site) then
            raise exception 'the key is taken' using errcode = 'QR003';
        end if;
        insert into idempotency values
            (p_study, p_key, p_key_site, p_stream, p_fingerprint, p_outcome, p_recorded_at)
            on conflict do nothing;
        if not found then
            raise exception 'the key is taken' using errcode = 'QR003';
        end if;
    end if;
    if p_expected = 0 and p_known = 0 then
        insert into streams values (p_study, p_stream, cardinality(p_types), p_site, p_search_key, p_summary)
            on conflict (study_id, stream_id) do nothing;
    else
        if p_tenant_site not in ('*', p_site) then
            -- A transfer: no one site sees the row both before and after. The tenant that moves it has just seen it.
            select site_id into site_before from streams where study_id = p_study and stream_id = p_stream;
            if found and site_before is distinct from p_site then
                told := set_config('quartal.site', '*', true);
            end if;
        end if;
        if p_yields and exists (select from streams s
                                 where s.study_id = p_study and s.site_id = p_site and s.search_key = p_search_key
                                   and s.stream_id <> p_stream) then
            search_key_kept := null;
        end if;
        update streams
           set version = version + cardinality(p_types), site_id = p_site, search_key = search_key_kept, summary = p_summary
         where study_id = p_study and stream_id = p_stream and version = p_expected and known = p_known;
    end if;
    if not found then
        raise exception 'the stream moved' using errcode = 'QR001';
    end if;
    if p_data_key is not null then
        insert into data_keys values (p_study, p_stream, p_data_key);
    end if;
    for place in 1 .. cardinality(p_types) loop
        next := nextval('event_seq');
        insert into events
            (study_id, stream_id, version, seq, event_id, type, schema_version, site_id, data, sealed, meta, recorded_at)
        values
            (p_study, p_stream, p_expected + place, next, p_event_ids[place], p_types[place], p_schema_versions[place],
             p_site_of_events, p_data[place]::jsonb, p_sealed[place], p_meta[place]::jsonb, p_recorded_at);
        insert into outbox (seq, shard, study_id, stream_id, version)
        values (next, p_shard, p_study, p_stream, p_expected + place);
    end loop;
end $$;

drop function append_v2;
