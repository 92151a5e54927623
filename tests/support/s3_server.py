"""An S3 server: OpenStack Swift's four parts, one process each, over one folder. Run by s3.ts.

Arguments: folder, address, port, access key, secret, region. Prints `ready` once it answers. The parts end with this process.
"""
import ctypes
import http.client
import os
import signal
import socket
import sys
import time

FOLDER, ADDRESS, PORT, KEY, SECRET, REGION = sys.argv[1:]
COMMON = f"""[DEFAULT]
swift_dir = {FOLDER}/etc
devices = {FOLDER}/drive
recon_cache_path = {FOLDER}/run
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
disk_chunk_size = 1048576
network_chunk_size = 1048576
client_chunk_size = 1048576
object_chunk_size = 1048576
conn_timeout = 5
node_timeout = 60
container_update_timeout = 60
"""
FILTERS = "catch_errors gatekeeper listing_formats copy bulk dlo symlink".split()
PROXY = COMMON + f"""
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats s3api auth copy bulk slo dlo symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
node_timeout = 60
recoverable_node_timeout = 60
error_suppression_limit = 1000000
error_suppression_interval = 1
[filter:cache]
paste.filter_factory = __main__:cache
[filter:auth]
paste.filter_factory = __main__:auth
[filter:s3api]
use = egg:swift#s3api
location = {REGION}
s3_acl = false
auth_pipeline_check = false
max_upload_part_num = 10000
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in FILTERS)


class Memory:
    """What memcached is to Swift, for one process."""

    def __init__(self):
        self.kept = {}

    def get(self, key, **_):
        value, end = self.kept.get(key, (None, 0))
        return value if not end or end > time.time() else None

    def set(self, key, value, time=0, **_):
        self.kept[key] = (value, CLOCK() + time if time else 0)

    def incr(self, key, delta=1, time=0, **_):
        value = max(0, int(self.get(key) or 0) + int(delta))
        self.set(key, value, time)
        return value

    def delete(self, key, **_):
        self.kept.pop(key, None)


CLOCK = time.time


def cache(*_, **__):
    memory = Memory()

    def wrap(app):
        def call(env, start_response):
            env["swift.cache"] = memory
            return app(env, start_response)
        return call
    return wrap


def auth(conf, **_):
    """Swift's own tempauth: the owner, whose name is the access key, and one who may read what everybody may."""
    from swift.common.middleware import tempauth
    make = tempauth.filter_factory(conf, user_s3_owner="x .admin")

    def wrap(app):
        one = make(app)
        owner = {**one.users["s3:owner"], "key": SECRET}
        one.users = {KEY: owner, f"{KEY}-reader": {**owner, "groups": []}}
        return one
    return wrap


def listen(address, port):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server.bind((address, port))
    server.listen(1024)
    return server


def write(name, text):
    with open(f"{FOLDER}/etc/{name}", "w") as file:
        file.write(text)


def make_ring(name, port):
    from swift.common.ring import RingBuilder
    builder = RingBuilder(4, 1, 0)  # 16 partitions, one copy
    builder.add_dev({
        "id": 0, "region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1.0, "meta": "",
        "replication_ip": "127.0.0.1", "replication_port": port,
    })
    builder.rebalance()
    builder.get_ring().save(f"{FOLDER}/etc/{name}.ring.gz")


def serve(name, sock, parent):
    """Runs one part in a process of its own, which ends with this one, however that ends."""
    if os.fork():
        return
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    import eventlet.greenio
    from swift.common import utils, wsgi
    utils.eventlet_monkey_patch()
    conf, logger, log_name = wsgi._initrp(f"{FOLDER}/etc/{name}.conf", f"{name}-server")
    wsgi.run_server(conf, logger, eventlet.greenio.GreenSocket(sock), global_conf={"log_name": log_name})
    os._exit(1)


def main():
    for name in ("etc", "drive/d1", "run"):
        os.makedirs(f"{FOLDER}/{name}", exist_ok=True)
    swift = "[swift-hash]\nswift_hash_path_prefix = test\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = one\ndefault = yes\n"
    write("swift.conf", swift)
    write("proxy.conf", PROXY)
    import swift.common.utils
    swift.common.utils.set_swift_dir(f"{FOLDER}/etc")
    front = listen(ADDRESS, int(PORT))
    parts = {name: listen("127.0.0.1", 0) for name in ("account", "container", "object")}
    for name, sock in parts.items():
        write(f"{name}.conf", f"{COMMON}[pipeline:main]\npipeline = {name}-server\n[app:{name}-server]\nuse = egg:swift#{name}\n")
        make_ring(name, sock.getsockname()[1])
    import swift.common.wsgi  # noqa: F401  once, before the processes part
    for name, sock in {**parts, "proxy": front}.items():
        serve(name, sock, os.getpid())
        sock.close()
    while True:
        try:
            connection = http.client.HTTPConnection(ADDRESS, int(PORT), timeout=20)
            connection.request("GET", "/")
            if connection.getresponse().status < 500:
                break
        except OSError:
            pass
        time.sleep(0.05)
    os.write(1, b"ready\n")  # at once: a test that is running by then would see a second piece
    _, status = os.wait()  # none of them ends by itself
    sys.exit(f"a part of the S3 server ended: {status}")


if __name__ == "__main__":
    main()
