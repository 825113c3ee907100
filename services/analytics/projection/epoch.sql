-- name: begin_epoch
-- Gives every study a new epoch, and notifies the deriver, which then derives all rows anew.
with begun as (update study_position set epoch = gen_random_uuid() returning study_id, position)
select pg_notify('quartal_projected', study_id || ':' || position) from begun
