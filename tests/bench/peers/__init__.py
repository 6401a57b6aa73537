"""Holds the alternatives to our worker, each as its own documentation shows it and as fast as that allows.

Each module is a process: `python -m tests.bench.peers.NAME`, with a worker's PROGRESS_ environment, stopped by SIGTERM.
It consumes lesson-events from the start. Its progress is in the database: in consumed_offset where it uses our
statement, else in bench_progress (`contender.py` reads both).

With `--fail-once` its handler raises once, in the middle of the topic. The harness starts a process that ends because
of it again without the option, as a supervisor would. Events that are missing when it has reached the end are gone.

All have the same conditions: bytes decoded by `worker.decode`, PostgreSQL's defaults for durability, one process.
"""
