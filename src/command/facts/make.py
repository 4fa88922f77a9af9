#!/usr/bin/env python3
"""Makes facts.tsv from running servers: make.py NAME=PORT ... > facts.tsv

The first server that knows a command tells its facts; complexity and summary are taken from servers whose name does
not start with redis-8, in the order given, and from own.tsv beside this file (name, summary). Made with
redis-8.0, valkey-9.1, valkey-8.1, redis-7.0, redis-6.0, none of them with modules loaded.
"""

import pathlib
import socket
import sys


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        words = [word.encode() for word in words]
        body = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self.socket.sendall(b"*%d\r\n" % len(words) + body)
        return self.read()

    def read(self):
        line = self.file.readline()[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2].decode()
        if kind in b"*~":
            return None if rest == b"-1" else [self.read() for _ in range(int(rest))]
        if kind == b"%":
            return {self.read(): self.read() for _ in range(int(rest))}
        if kind == b"_":
            return None
        raise ValueError(line)


def infos(client):
    found = {}

    def add(entry):
        found[entry[0].lower()] = entry
        for sub in entry[9] if len(entry) > 9 else []:
            add(sub)

    for entry in client.ask("COMMAND"):
        add(entry)
    return found


def docs(client):
    found = {}

    def add(name, doc):
        found[name.lower()] = doc
        for sub, subdoc in (doc.get("subcommands") or {}).items():
            add(sub, subdoc)

    for name, doc in client.ask("COMMAND", "DOCS").items():
        add(name, doc)
    return found


def spec(entry):
    begin, find = entry["begin_search"], entry["find_keys"]
    at, how = begin["spec"], find["spec"]
    begin = {
        "index": lambda: f"index:{at['index']}",
        "keyword": lambda: f"keyword:{at['keyword']},{at['startfrom']}",
        "unknown": lambda: "unknown",
    }[begin["type"]]()
    find = {
        "range": lambda: f"range:{how['lastkey']},{how['keystep']},{how['limit']}",
        "keynum": lambda: f"keynum:{how['keynumidx']},{how['firstkey']},{how['keystep']}",
        "unknown": lambda: "unknown",
    }[find["type"]]()
    return f"{','.join(entry['flags'])}@{begin}@{find}"


def row(name, info, doc, text, own):
    info = info + [[]] * (10 - len(info))
    group = doc.get("group") or ("module" if "module" in info[2] else "generic")
    return [
        name, str(info[1]), ",".join(info[2]), str(info[3]), str(info[4]), str(info[5]),
        ",".join(info[6]), ",".join(info[7]), ";".join(map(spec, info[8])),
        doc.get("since", ""), group, ",".join(doc.get("doc_flags", [])),
        doc.get("deprecated_since") or "", doc.get("replaced_by") or "",
        text.get("complexity") or "", own.get(name) or text.get("summary") or "",
    ]  # fmt: skip


def main():
    own = pathlib.Path(__file__).with_name("own.tsv").read_text().splitlines()
    own = dict(line.split("\t") for line in own)
    servers = []
    for argument in sys.argv[1:]:
        name, port = argument.split("=")
        client = Client(int(port))
        has_docs = not name.startswith("redis-6")
        if has_docs:
            client.ask("HELLO", "3")
        servers.append((name, infos(client), docs(client) if has_docs else {}))
    names = {name for _, info, _ in servers for name in info} - {"host:", "post"}
    print("name\tarity\tflags\tfirst_key\tlast_key\tstep\tacl\ttips\tkey_specs\tsince\tgroup\tdoc_flags"
          "\tdeprecated_since\treplaced_by\tcomplexity\tsummary")  # fmt: skip
    for name in sorted(names):
        info = next(info[name] for _, info, _ in servers if name in info)
        doc = next((doc[name] for _, _, doc in servers if name in doc), {})
        texts = (doc[name] for server, _, doc in servers if name in doc and not server.startswith("redis-8"))
        print("\t".join(row(name, info, doc, next(texts, {}), own)))


main()
