# One image for all parts; the command names the part: extractor, transformer, saver, api, or prepare (a one-shot).
#
# Debian's flavour and not Alpine's: the latter finds its C library by LD_LIBRARY_PATH, and Deno starts no subprocess with narrow permissions
# under that variable. The API runs each SQL query of its console in such a subprocess.
ARG DENO_IMAGE=denoland/deno:debian-2.9.6
FROM ${DENO_IMAGE}

# Whose the files are that the parts write.
ARG APP_UID=1000
ARG APP_GID=1000
# The cache is where Deno looks for it by itself: subprocesses are given no environment.
RUN echo "app:x:${APP_UID}:${APP_GID}::/app:/bin/sh" >> /etc/passwd
ENV DENO_DIR=/app/.cache/deno DENO_NO_UPDATE_CHECK=1 NODE_ENV=production
WORKDIR /app

COPY deno.json deno.lock ./
RUN deno install --frozen

COPY . .
RUN deno cache --frozen \
  extractor/main.ts transformer/main.ts saver/main.ts api/main.ts api/sql/worker.ts \
  cli/container/command.ts cli/container/healthy.ts cli/container/prepare.ts

USER ${APP_UID}:${APP_GID}
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s --retries=3 \
  CMD ["/app/cli/container/start.sh", "healthy"]
# tini reaps what a part leaves behind and passes signals on; the base image brings it.
ENTRYPOINT ["/tini", "--", "/app/cli/container/start.sh"]
