-- Everything that the digests of a study wait for, each cause with the instant since which it holds them up. The former
-- columns had one cause, and its instant could be that of a cause before it.

alter table reminder_status
    drop column waits_for,
    drop column waits_since,
    add column waits jsonb not null default jsonb_build_object();
