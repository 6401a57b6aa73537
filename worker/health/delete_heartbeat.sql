-- Deletes the status of worker $2 of consumer group $1, which has stopped cleanly.
delete from worker_status where consumer_group = $1 and worker = $2
