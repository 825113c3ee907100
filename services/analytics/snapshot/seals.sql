-- name: seals
-- The seals of a study in the order in which the data cuts were taken.
select name, cut_on, position, sealed_later, encode(digest, 'hex') as digest, excluded, software, sealed_at
  from cut_seal where study_id = $1 order by position, name

-- name: seal
-- The seal of a data cut; no row while it is not sealed.
select name, cut_on, position, sealed_later, encode(digest, 'hex') as digest, excluded, software, sealed_at
  from cut_seal where study_id = $1 and name = $2

-- name: sealed_file
-- A file of a sealed figure that the tenant of the transaction sees; no row for a scope or a figure that was not sealed.
select f.content, f.sha256, f.file_name_parts, f.participant_rows
  from cut_seal_file f where f.study_id = $1 and f.name = $2 and f.scope = $3 and f.figure = $4 and f.format = $5

-- name: made_documents
-- The documents that were made for a data cut, also those that no scope has.
select document from cut_document where study_id = $1 and name = $2

-- name: documents
-- The documents of a data cut for a scope, by name.
select d.document as name, length(f.content) as size, encode(f.sha256, 'hex') as sha256, f.participant_rows,
       d.sealed_later, d.software, d.sealed_at
  from cut_document d join cut_document_file f using (study_id, name, document)
 where d.study_id = $1 and d.name = $2 and f.scope = $3 order by 1

-- name: document_content
-- The bytes of a document for a scope that the tenant of the transaction sees; no row for a scope that has none.
select content from cut_document_file where study_id = $1 and name = $2 and scope = $3 and document = $4

-- name: seal_progress
-- How far the sealings of a study's data cuts are that are under way; a killed one is none after a minute. Documents, which
-- are made after the figures, come last.
select name, stage, done, total, updated_at from seal_progress
 where study_id = $1 and updated_at > clock_timestamp() - interval '1 minute' order by name, stage desc
