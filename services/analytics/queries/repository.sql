-- name: visible_queries
-- The data queries that are listed today at their site and that match the filters, by participant and key. A filter that
-- is null matches everything; `state` is open, explained or all.
select q.participant_id, q.site_id, q.key, q.rule, q.event_ids, q.text, q.opens_on, q.closes_on, q.since, q.explained_by
  from derived_data_query q
  join unnest($2::text[], $3::date[]) as site (site_id, today) using (site_id)
 where q.study_id = $1
   and (q.rule is null or q.explained_by <> '{}' or site.today between q.opens_on and q.closes_on)
   and ($4::text is null or q.site_id = $4)
   and ($5::text is null or q.participant_id = $5)
   and ($6::text is null or q.rule = $6)
   and ($7::text = 'all' or ($7 = 'explained') = (q.explained_by <> '{}'))
 order by q.participant_id collate "C", q.key collate "C"

-- name: open_counts
-- The number of data queries of each of these participants that are open today at their site.
select q.participant_id, count(*) as open_queries
  from derived_data_query q
  join unnest($2::text[], $3::date[]) as site (site_id, today) using (site_id)
 where q.study_id = $1 and q.participant_id = any($4) and q.explained_by = '{}'
   and site.today between q.opens_on and q.closes_on
 group by q.participant_id
