#!/bin/sh
# What a container of the image runs: start.sh extractor|transformer|saver|api [ARGUMENT...], prepare, or healthy [URL].
# Each part gets the least permissions that its configuration needs. They are worked out first, by a process that ends before the part begins.
set -euf
cd /app

# Compose passes every variable on, the ones that nobody has set as empty ones.
for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=$/\1/p'); do
  unset "$name"
done

# A secret is a file with the variable's name: the environment that `docker inspect` shows doesn't have it.
for name in $(ls /run/secrets 2>/dev/null || :); do
  case "$name" in *[!A-Za-z0-9_]*) continue ;; esac
  file="/run/secrets/$name"
  if ! value=$(cat "$file"); then
    echo "Cannot read the secret $name: user $(id -u) may not. Let the file that is mounted there be readable for that user." >&2
    exit 2
  fi
  if [ -n "$value" ]; then export "$name=$value"; fi
done

deno="deno run --cached-only --no-prompt --quiet"
part=${1:-}
[ $# -eq 0 ] || shift
case "$part" in
  prepare)
    exec $deno --allow-read --allow-write=ssh_keys,sftp_keys,data,database,sftp_data \
      --allow-env=APP_UID,APP_GID,SFTP_KEY_PASSPHRASE cli/container/prepare.ts
    ;;
  healthy)
    exec $deno --allow-net --allow-env --allow-sys=hostname cli/container/healthy.ts "$@"
    ;;
  *)
    arguments=$($deno --allow-read --allow-env cli/container/command.ts "$part" "$@")
    IFS='
'
    exec deno $arguments
    ;;
esac
