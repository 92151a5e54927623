#!/usr/bin/python3
"""The compose test's stand-in for two programs of the image minio/minio: OpenStack Swift with its s3api, as its server.

`minio server FOLDER --address :PORT`: each folder in FOLDER is a bucket, made before it answers for it. `curl ... URL`: fails until the
bucket `etl` can be listed, whatever the URL, as Swift has none for its health.
"""
import base64
import email.utils
import hashlib
import hmac
import http.client
import os
import signal
import subprocess
import sys
import time

PORT = 9000
KEY, SECRET = os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]


def ask(method, bucket):
    """The status of the answer; 0 where nobody answers."""
    date = email.utils.formatdate(usegmt=True)
    digest = hmac.new(SECRET.encode(), f"{method}\n\n\n{date}\n/{bucket}".encode(), hashlib.sha1).digest()
    headers = {"Date": date, "Authorization": f"AWS {KEY}:{base64.b64encode(digest).decode()}"}
    try:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=5)
        connection.request(method, f"/{bucket}", headers=headers)
        return connection.getresponse().status
    except OSError:
        return 0


def start(folder, address):
    return subprocess.Popen(["/usr/bin/python3", "/s3_server.py", folder, address, str(PORT), KEY, SECRET, "us-east-1"])


def serve(folder):
    buckets = [name for name in os.listdir(folder) if not name.startswith(".")]
    # No other container reaches the server before the buckets exist.
    server = start(f"{folder}/.swift", "127.0.0.1")
    while server.poll() is None and not all(ask("PUT", bucket) in (200, 409) for bucket in buckets):
        time.sleep(0.1)
    server.kill()
    server.wait()
    sys.exit(start(f"{folder}/.swift", "0.0.0.0").wait())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if os.path.basename(sys.argv[0]) == "minio":
        serve(sys.argv[2])
    sys.exit(0 if ask("GET", "etl") == 200 else 22)
