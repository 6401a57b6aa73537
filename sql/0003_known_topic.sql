-- Which topic the stored offsets belong to: one that was deleted and created anew has the same name and another id.

-- migrate:up

create table known_topic (
    consumer_group text not null,
    topic text not null,
    topic_id uuid not null,           -- Kafka's, of the log that consumed_offset counts in
    primary key (consumer_group, topic)
);
alter table known_topic owner to course_progress_owner;
grant select, insert, update on known_topic to course_progress_worker;
-- migrate:down
