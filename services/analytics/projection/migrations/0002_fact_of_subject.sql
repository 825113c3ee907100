-- A participant's facts at any position, without a walk through the whole study.

create index fact_of_subject on fact (study_id, subject, from_position);
