# Runs the worker, or any other command of course-progress. `docker build --target certificates .` builds the image for
# `course-progress effects` and for an API that serves certificates: 100 MB of packages and 43 MB of fonts more.
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

FROM build AS build-certificates
COPY requirements-certificates.txt ./
RUN /app/bin/pip install --no-cache-dir --require-hashes -r requirements-certificates.txt

FROM ${PYTHON} AS base
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

FROM base AS certificates
USER root
# Names in most scripts; Chinese, Japanese and Korean need fonts-noto-cjk, too. A volume on /keys is the worker's own.
RUN apt-get update && apt-get install --yes --no-install-recommends fonts-noto-core \
    && rm -rf /var/lib/apt/lists/* && install --directory --owner=worker --mode=0700 /keys
USER worker
ENV PROGRESS_CERTIFICATE_FONTS=/usr/share/fonts/truetype/noto
COPY --from=build-certificates /app /app

# The last stage is what `docker build .` builds.
FROM base
COPY --from=build /app /app
