-- Worker $2 of consumer group $1 has stopped, as it was told to.
delete from worker_status where consumer_group = $1 and worker = $2
