# Runs the worker, or any other command of course-progress.
# A tag moves. For the same bytes at every build: --build-arg PYTHON=python@sha256:… (docker buildx imagetools inspect).
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
WORKDIR /build
RUN python -m venv /app
COPY requirements.txt requirements-build.txt ./
RUN /app/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
    && python -m pip install --no-cache-dir --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md ./
COPY events events
COPY worker worker
COPY sql sql
# The build backend stays in this stage, and nothing here comes without its hash.
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
    && /app/bin/pip install --no-cache-dir --no-deps /dist/*.whl

FROM ${PYTHON}
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONUNBUFFERED=1 PROGRESS_HTTP_HOST=0.0.0.0
RUN useradd --system --no-create-home worker
USER worker
EXPOSE 8080
# SIGTERM drains the batch in flight, publishes the outbox and leaves the group.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/live', timeout=2)"]
ENTRYPOINT ["course-progress"]
CMD ["worker"]
