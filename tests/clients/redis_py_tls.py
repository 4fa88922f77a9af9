"""redis-py over TLS with a client certificate. Arguments: port, CA, certificate, key.

The data is tests/data/redis-8.0.rdb. Any surprise is an exception, and so a failed test.
"""

import sys

import redis

port, ca, certificate, key = sys.argv[1:]
for protocol in (2, 3):
    r = redis.Redis(
        host="localhost",
        port=int(port),
        protocol=protocol,
        decode_responses=True,
        ssl=True,
        ssl_ca_certs=ca,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    assert r.get("s:text") == "hello world"
    assert len(r.hgetall("h:many")) == 700
    with r.pipeline(transaction=False) as pipe:
        for _ in range(200):
            pipe.hgetall("h:many")
        assert all(len(reply) == 700 for reply in pipe.execute())
    print(f"RESP{protocol} ok")

try:
    redis.Redis(host="localhost", port=int(port), ssl=True, ssl_ca_certs=ca).ping()
except redis.ConnectionError:
    print("refused without a certificate")
else:
    raise AssertionError("served without a certificate")
