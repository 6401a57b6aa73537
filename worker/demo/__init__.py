"""Runs the main job with simulated learners, and shows it: `course-progress demo`.

`player` simulates the learners, `people` names them, `traffic` publishes their events, `workers` keeps a worker
running, and `effects` prepares the process that issues certificates. `certificates` subscribes to course events, and
`observer` asks broker and database. `view` draws all that, `website` serves pages, `comparison` checks the result, and
`run` composes the parts.
"""
