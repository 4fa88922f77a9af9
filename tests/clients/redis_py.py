"""What an application does with redis-py, against the remora at the port given as argument.

The data is tests/data/redis-8.0.rdb. Any surprise is an exception, and so a failed test.
"""

import sys

import redis


def check(port: int, protocol: int) -> None:
    r = redis.Redis(port=port, protocol=protocol, decode_responses=True, client_name="test")
    assert r.ping()
    assert r.get("s:text") == "hello world"
    assert r.get("missing") is None
    assert r.mget("s:text", "missing", "s:int16") == ["hello world", None, "12345"]
    assert r.hgetall("h:small")["f1"] == "v1"
    assert r.hget("h:small", "n") == "42"
    assert r.lrange("l:small", 0, 1) == ["a", "b"]
    assert r.smembers("set:small") == {"a", "b", "5", ""}
    assert r.sismember("set:small", "a")
    assert r.zscore("z:small", "f") == 1.5
    assert r.zrange("z:many", 0, 1, withscores=True)[0][1] == 0.0
    assert r.xrange("x:mixed", count=1)[0][1] == {"a": "1"}
    assert r.type("x:mixed") == "stream"
    assert r.ttl("e:far") > 0
    assert sorted(r.scan_iter("set:int*"))[0] == "set:int-many"
    assert len(dict(r.hscan_iter("h:many"))) == 700
    assert r.exists("s:text", "missing") == 1
    with r.pipeline(transaction=False) as pipe:
        assert pipe.get("s:text").strlen("s:text").execute() == ["hello world", 11]
    assert r.info("replication")["role"] == "slave"
    assert r.info()["master_link_status"] == "up"
    assert r.config_get("maxclients")["maxclients"]
    assert r.client_getname() == "test"
    assert r.role()[0] == "slave"
    try:
        r.set("k", "v")
    except redis.exceptions.ReadOnlyError:
        pass
    else:
        raise AssertionError("a write was not refused")
    other = redis.Redis(port=port, protocol=protocol, db=15, decode_responses=True)
    assert other.get("last") == "db15"
    print(f"RESP{protocol} ok")


for protocol in (2, 3):
    check(int(sys.argv[1]), protocol)
