-- The plans of reminders by which the visits of a site were last looked at, the site's and that of the study-wide digest, as
-- JSON. Null before the first look since this migration: all visits are looked at once more, so that no change of the plan
-- that came earlier is missed.

alter table reminder_progress add column plan text;
