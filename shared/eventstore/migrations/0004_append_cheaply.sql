-- The same appends and the same rights for less: an append is many small statements, and making them ready took the
-- database more time than writing their rows.

-- As append_v2. Assignments of one expression, unlike `perform`, run without a plan; and the row as it was is looked for
-- only where the site that states is not the site that has the stream afterwards.
create function append_v3(
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
    told text;
    locked boolean;
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

drop function append_v1;

-- As they were, but for a subquery around each setting: that is one more plan node to make ready in every statement,
-- and spares nothing where a statement looks at a few rows by key.
alter policy streams_seen on streams using (
    study_id = current_setting('quartal.study', true)
    and (site_id is null or current_setting('quartal.site', true) in ('*', site_id))
);
alter policy streams_made on streams with check (
    study_id = current_setting('quartal.study', true)
    and (site_id is null or current_setting('quartal.site', true) in ('*', site_id))
);
alter policy streams_moved on streams using (
    study_id = current_setting('quartal.study', true)
    and (site_id is null or current_setting('quartal.site', true) in ('*', site_id))
) with check (study_id = current_setting('quartal.study', true));
alter policy events_seen on events using (
    study_id = current_setting('quartal.study', true)
    and exists (select from streams s where s.study_id = events.study_id and s.stream_id = events.stream_id)
);
alter policy events_made on events with check (
    study_id = current_setting('quartal.study', true)
);
alter policy outbox_made on outbox with check (
    study_id = current_setting('quartal.study', true)
);
alter policy idempotency_own on idempotency using (
    study_id = current_setting('quartal.study', true)
    and (site_id = '*' or current_setting('quartal.site', true) in ('*', site_id))
);
alter policy data_keys_own on data_keys using (
    study_id = current_setting('quartal.study', true)
    and exists (select from streams s where s.study_id = data_keys.study_id and s.stream_id = data_keys.stream_id)
) with check (study_id = current_setting('quartal.study', true));
