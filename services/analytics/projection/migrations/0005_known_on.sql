-- The day by which each event was known, by the study's clock: kept with the event, so that a rebuild under another clock,
-- zone or site gives the same days. An event of an earlier release gets it once (known_on.py).

alter table journal add column known_on date;
create index journal_without_known_on on journal (study_id, position) where known_on is null;

create or replace function journal_stays() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if old.known_on is null and new.known_on is not null then
            old.known_on := new.known_on;
            if old is not distinct from new then
                return new;
            end if;
        end if;
    end if;
    raise exception 'what was applied is never changed' using errcode = 'QR000';
end $$;

grant update (known_on) on journal, fact to {system};
