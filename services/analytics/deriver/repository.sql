-- name: studies
-- The studies of which facts have been applied.
select study_id from study_position order by study_id

-- name: create_state
-- Makes the state of a study that has none; it returns nothing.
insert into derived_study (study_id, position, derivation_version, plans) values ($1, 0, 0, '')
on conflict (study_id) do nothing

-- name: lock_state
-- Locks the state of a study until the commit: two derivers never write rows of one study at once.
select position, epoch, derivation_version, plans, revision from derived_study where study_id = $1 for update

-- name: store_state
-- Stores the state of a study; it returns nothing.
update derived_study
   set position = $2, recorded_at = $3, derivation_version = $4, plans = $5, epoch = $6, revision = $7
 where study_id = $1

-- name: lacks_known_on
-- Whether the study has an event without the day by which it was known.
select exists (select from journal where study_id = $1 and known_on is null)

-- name: latest_position
-- The position up to which facts of a study have been applied, and its epoch; no row without any.
select position, epoch from study_position where study_id = $1

-- name: participants
-- All participants of a study with facts up to a position, or with rows, in the order of their numbers.
select subject from inbox_stream s
 where study_id = $1 and subject <> $1
   and exists (select from journal j where j.study_id = s.study_id and j.subject = s.subject and j.position <= $2)
 union
select participant_id from derived_subject where study_id = $1
 order by 1

-- name: changed_participants
-- The participants of whom facts were applied after a position, up to another.
select distinct subject from journal
 where study_id = $1 and position > $2 and position <= $3 and subject <> $1 order by subject

-- name: failed_participants
-- The participants whose last derivation failed.
select participant_id from derived_failure where study_id = $1 order by participant_id

-- name: digests
-- The digest of the rows of each of these participants.
select participant_id, digest from derived_subject where study_id = $1 and participant_id = any($2)

-- name: add_words
-- Gives codes to words that have none; it returns nothing.
insert into derived_word (word) select word from unnest($1::text[]) as new (word)
on conflict (word) do nothing

-- name: word_codes
-- The codes of words.
select word, code from derived_word where word = any($1)

-- name: insert_query
-- Inserts a data query; it returns nothing.
insert into derived_data_query (study_id, participant_id, site_id, sequence, key, rule, event_ids, text, opens_on, closes_on,
                                since, explained_by)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- name: store_failure
-- Stores that the rows of a participant could not be derived; since when is kept.
insert into derived_failure (study_id, participant_id, position, reason) values ($1, $2, $3, $4)
on conflict (study_id, participant_id) do update set position = excluded.position, reason = excluded.reason

-- name: clear_failures
-- Deletes the failures of these participants; it returns nothing.
delete from derived_failure where study_id = $1 and participant_id = any($2)

-- name: notify
-- Tells the web processes the new position of a study, with the version of the study's own facts.
select pg_notify('quartal_live', $1 || ':' || $2 || ':' || coalesce(
    (select version from inbox_stream where source = '/studies/' || $1 || '/enrollment' and subject = $1), 0))
