-- Reads the digest of version $2 of course $1. Returns no row where the version is not known.
select digest from course_version where course_id = $1 and version = $2
