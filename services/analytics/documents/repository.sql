-- name: due_documents
-- The sealed data cuts that lack one of these documents, of studies whose rows are derived up to them by this release, by
-- position. Documents that the seal promises are apart from those that this version adds.
select s.study_id, s.name, s.cut_on, s.position, f.recorded_at, not d.document = any(s.documents) as sealed_later,
       array_agg(d.document order by d.document) as documents
  from cut_seal s
  join fact f on f.study_id = s.study_id and f.subject = s.study_id and f.type = 'study.cut_taken' and f.to_position is null
             and f.data ->> 'name' = s.name and f.from_position = s.position
  join study_position p on p.study_id = s.study_id
  join derived_study r on r.study_id = s.study_id and r.epoch = p.epoch and r.derivation_version = $1
                      and r.position >= s.position
 cross join unnest($2::text[]) as d(document)
 where not exists (
    select from cut_document m where m.study_id = s.study_id and m.name = s.name and m.document = d.document
 )
 group by 1, 2, 3, 4, 5, 6
 order by 1, 4, 6

-- name: earlier_cut
-- The last sealed data cut of a study before a position; no row at its first one.
select s.name, s.cut_on, s.position, f.recorded_at
  from cut_seal s
  join fact f on f.study_id = s.study_id and f.subject = s.study_id and f.type = 'study.cut_taken' and f.to_position is null
             and f.data ->> 'name' = s.name and f.from_position = s.position
 where s.study_id = $1 and s.position < $2
 order by s.position desc limit 1

-- name: scopes
-- The scopes that a data cut was sealed for, and the number of streams in its frontier.
select distinct c.scope, jsonb_array_length(s.frontier) as streams
  from cut_seal s join cut_seal_file c using (study_id, name)
 where s.study_id = $1 and s.name = $2
 order by 1

-- name: figure_files
-- The digests of all files of the figures of a scope, and the bytes of the given formats.
select figure, format, encode(sha256, 'hex') as sha256, case when format = any($4) then content end as content
  from cut_seal_file where study_id = $1 and name = $2 and scope = $3

-- name: insert_document
-- Inserts a document of a data cut that lacks it, and returns its name; no row if the cut has it.
insert into cut_document (study_id, name, document, sealed_later, software)
values ($1, $2, $3, $4, $5)
on conflict (study_id, name, document) do nothing
returning document

-- name: insert_document_file
-- Inserts the bytes of a document for a scope; it returns nothing.
insert into cut_document_file (study_id, name, document, scope, content, sha256, participant_rows)
values ($1, $2, $3, $4, $5, $6, $7)
