-- For the page of what a member recorded on a day.

create index events_recorded_by on events (study_id, (meta ->> 'recorded_by'), (meta ->> 'recorded_on'));
