-- Reading events in the order of recording, from where a reader ended the last time.

create index events_study_seq on events (study_id, seq);   -- paging through a backlog
create index events_study_xid on events (study_id, xid);   -- what is new since a snapshot

-- What a site stated stays readable for it, after a transfer too: it must be able to compare it with what it sent. Not
-- so the stream, its head and its data key: whoever handed a participant over neither finds them nor reads sealed text.
alter policy events_seen on events using (
    study_id = current_setting('quartal.study', true)
    and (site_id = current_setting('quartal.site', true)
         or exists (select from streams s where s.study_id = events.study_id and s.stream_id = events.stream_id))
);
