"""`course-progress demo`: the main job, watched.

`player` imagines the learners, `traffic` publishes what they do, `workers` keeps a worker running, `certificates`
subscribes, `observer` looks at broker and database, `view` draws it, `comparison` checks it, `run` composes it all.
"""
