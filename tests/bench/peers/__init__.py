"""What a user would otherwise take, each as its own documentation shows it and as fast as that allows.

Each module is a process: `python -m tests.bench.peers.NAME`, with a worker's PROGRESS_ environment, stopped by SIGTERM.
It consumes lesson-events from the start. How far it is stands in the database: in consumed_offset where it uses our
statement, else in bench_progress (`contender.py` reads both).

With `--fail-once` its handler raises once, at the middle of what is in the topic. A process that ends of that is to be
started again without the option, as a supervisor would; what is missing when it has reached the end is gone.

All start from the same: bytes decoded by `worker.decode`, PostgreSQL's defaults for durability, one process.
"""
