-- Lists the workers of consumer group $1 that run, were seen within $2 seconds, and do not know versions of courses.
select worker from worker_status
where consumer_group = $1 and seen_at > now() - make_interval(secs => $2) and not knows_versions
order by worker
