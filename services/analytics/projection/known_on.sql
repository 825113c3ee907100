-- name: studies_without_known_on
-- The studies that have an event without the day by which it was known.
select distinct study_id from journal where known_on is null order by study_id

-- name: lock_study
-- Locks the study as its projection does. The position is not needed.
select position from study_position where study_id = $1 for update

-- name: events_without_known_on
-- The first $3 events of a study without that day: facts of the study, and of the sites $2.
select position, site_id, recorded_at from journal
 where study_id = $1 and known_on is null and (site_id is null or site_id = any($2::text[]))
 order by position limit $3

-- name: keep_known_on
-- Stores the days of the events at the positions $2 with the events and with their facts; it returns nothing.
with kept as (
    update journal j set known_on = day.known_on
      from unnest($2::bigint[], $3::date[]) as day (position, known_on)
     where j.study_id = $1 and j.position = day.position and j.known_on is null
    returning j.position, j.known_on,
              case when j.type = 'record.corrected' then (j.data ->> 'event_id')::uuid else j.event_id end as stated_id
)
update fact f set known_on = kept.known_on from kept where f.event_id = kept.stated_id and f.from_position = kept.position
