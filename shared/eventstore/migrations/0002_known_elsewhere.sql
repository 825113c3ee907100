-- A service that takes facts of participants whom another service registers knows them before it has an event of them.

alter table streams
    add column known integer not null default 0,  -- version of the stream in which the participant is registered elsewhere
    drop constraint streams_version_check,
    add constraint streams_of_something check (version >= 0 and known >= 0 and version + known > 0);

-- As append_v1, and decided by what is known from elsewhere: QR001 where that has moved since.
create function append_v2(
    p_study text, p_stream text, p_expected integer, p_study_version integer,
    p_site text, p_search_key bytea, p_summary jsonb, p_data_key bytea,
    p_event_ids uuid[], p_types text[], p_schema_versions integer[], p_site_of_events text,
    p_data text[], p_sealed bytea[], p_meta text[], p_recorded_at timestamptz, p_shard smallint,
    p_key text, p_key_site text, p_fingerprint bytea, p_outcome jsonb, p_tenant_site text, p_known integer
) returns void language plpgsql as $$
declare
    study_version integer;
    site_before text;
    next bigint;
begin
    perform set_config('quartal.study', p_study, true), set_config('quartal.site', p_tenant_site, true);
    if p_stream = p_study then
        perform pg_advisory_xact_lock(hashtextextended(p_study, 0));
    else
        perform pg_advisory_xact_lock_shared(hashtextextended(p_study, 0));
        select version into study_version from streams where study_id = p_study and stream_id = p_study;
        if study_version is distinct from p_study_version then
            raise exception 'the study moved' using errcode = 'QR002';
        end if;
    end if;
    if p_key is not null then
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
        select site_id into site_before from streams where study_id = p_study and stream_id = p_stream;
        if found and site_before is distinct from p_site then
            -- A transfer: no one site sees the row both before and after. The tenant that moves it has just seen it.
            perform set_config('quartal.site', '*', true);
        end if;
        update streams
           set version = version + cardinality(p_types), site_id = p_site, search_key = p_search_key, summary = p_summary
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
