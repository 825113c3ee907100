-- The digests of an addressee's day are found without reading those of all other days.

drop index reminder_delivery_digest;
create index reminder_delivery_digest on reminder_delivery (study_id, addressee, day, member);
