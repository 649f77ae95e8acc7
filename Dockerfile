# syntax=docker/dockerfile:1
# Stage 1: locked dependencies into an environment of their own; they change less often than the code.
FROM python:3.13-slim AS build
WORKDIR /app
RUN python -m venv /opt/venv
COPY requirements.lock ./
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock

# Stage 2: that environment and the code, run by a user who owns nothing but the data folder.
FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin courier \
    && install -d -o courier -g courier /data
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY bot ./bot
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DATA_DIR=/data
USER courier
VOLUME /data
# SIGTERM lets an upload finish: give it more than its 20 seconds (docker stop --time 30).
STOPSIGNAL SIGTERM
# Without HTTP_PORT: healthy while the process runs. With it: while its event loop answers.
HEALTHCHECK --interval=30s --timeout=10s --start-period=90s \
    CMD ["python", "-m", "bot.ops.probe"]
ENTRYPOINT ["python", "-m", "bot"]
