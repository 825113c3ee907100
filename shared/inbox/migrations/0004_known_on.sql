-- The day by which the present content of a fact was known: it bounds the imputed days of its partial dates.

alter table fact add column known_on date;  -- null for an event of a release that did not keep the day
