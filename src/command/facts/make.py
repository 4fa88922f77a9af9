#!/usr/bin/env python3
"""Makes facts.tsv from running servers: make.py NAME=PORT ... > facts.tsv

The first server that knows a command tells its facts. What valkey-9.1 says otherwise of it stands in a line of its own,
under the name `valkey:NAME`. Texts (complexity, summary, history) of commands that Redis got after 7.2 are taken from
servers whose name does not start with redis-8, in the order given, and from own.tsv beside this file (name, summary).
So are the notes of key specifications: none that only redis-8 words so.
Made with redis-8.0, valkey-9.1, valkey-8.1, redis-7.0, redis-6.0, none of them with modules loaded.
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


def notes_of(infos):
    """What a server notes at its key specifications."""
    entries = [entry for info in infos.values() for entry in (info[8] if len(info) > 8 else [])]
    return {entry["notes"] for entry in entries if "notes" in entry}


def spec(entry, notes):
    """`flags@begin@find`, and a note behind a further `@` if it is one of these."""
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
    note = entry.get("notes")
    assert not any(mark in (note or "") for mark in "@;\t\n"), note
    return f"{','.join(entry['flags'])}@{begin}@{find}" + (f"@{note}" if note in notes else "")


# Parts the arguments of a command in their column; none of the words has one of these characters.
MARKS = ";,[]\t\n"
LETTERS = {
    "key_spec_index": "k", "token": "t", "summary": "m", "since": "s", "deprecated_since": "x", "flags": "f",
}  # fmt: skip


def argument(entry):
    """`name,type`, then a letter and a value for each further field, then the arguments inside in brackets."""
    fields = [entry["name"], entry["type"]]
    if "display_text" in entry:
        text = entry["display_text"]
        fields.append("d" + ("" if text == entry["name"] else text))
    for name, letter in LETTERS.items():
        if name in entry:
            value = entry[name]
            fields.append(letter + ("".join(flag[0] if flag != "multiple_token" else "t" for flag in value)
                                    if name == "flags" else str(value)))  # fmt: skip
    assert not any(mark in field for field in fields for mark in MARKS), fields
    inner = f"[{arguments(entry['arguments'])}]" if "arguments" in entry else ""
    return ",".join(fields) + inner


def arguments(entries):
    return ";".join(map(argument, entries))


def is_free(version):
    """Was Redis of this version, as its texts, under the BSD license?"""
    return tuple(map(int, version.split("."))) < (7, 4, 0)


def texts_of(name, servers, own):
    """Complexity, summary and history in words that may be repeated."""
    told = [(server, docs[name]) for server, _, docs in servers if name in docs]
    if not told:
        return {"summary": own.get(name)}
    (server, first), others = told[0], [doc for server, doc in told if not server.startswith("redis-8")]
    if not server.startswith("redis-8"):
        return first
    texts = dict(first if is_free(first.get("since") or "8.0.0") else next(iter(others), {}))
    known = {text for doc in others for _, text in doc.get("history", [])}
    texts["history"] = [[version, text] for version, text in first.get("history", [])
                        if is_free(version) or text in known]  # fmt: skip
    return texts | ({"summary": own[name]} if name in own else {})


def row(name, info, doc, texts, notes):
    info = info + [[]] * (10 - len(info))
    group = doc.get("group") or ("module" if "module" in info[2] else "generic")
    return [
        name, str(info[1]), ",".join(info[2]), str(info[3]), str(info[4]), str(info[5]),
        ",".join(info[6]), ",".join(info[7]), ";".join(spec(entry, notes) for entry in info[8]),
        doc.get("since", ""), group, ",".join(doc.get("doc_flags", [])),
        doc.get("deprecated_since") or "", doc.get("replaced_by") or "",
        texts.get("complexity") or "", texts.get("summary") or "",
        ";;".join(f"{version} {text}" for version, text in texts.get("history") or []),
        arguments(doc.get("arguments", [])),
    ]  # fmt: skip


def main():
    own = pathlib.Path(__file__).with_name("own.tsv").read_text().splitlines()
    own = dict(line.split("\t") for line in own)
    servers = []
    for server in sys.argv[1:]:
        name, port = server.split("=")
        client = Client(int(port))
        has_docs = not name.startswith("redis-6")
        if has_docs:
            client.ask("HELLO", "3")
        servers.append((name, infos(client), docs(client) if has_docs else {}))
    notes = set().union(*(notes_of(infos) for name, infos, _ in servers if not name.startswith("redis-8")))
    valkey = [server for server in servers if server[0] == "valkey-9.1"]
    names = {name for _, info, _ in servers for name in info} - {"host:", "post"}
    print("name\tarity\tflags\tfirst_key\tlast_key\tstep\tacl\ttips\tkey_specs\tsince\tgroup\tdoc_flags"
          "\tdeprecated_since\treplaced_by\tcomplexity\tsummary\thistory\targuments")  # fmt: skip
    for name in sorted(names):
        lines = []
        for among in servers, valkey:
            info = next((info[name] for _, info, _ in among if name in info), None)
            if info is not None:
                doc = next((doc[name] for _, _, doc in among if name in doc), {})
                lines.append(row(name, info, doc, texts_of(name, among, own), notes))
        print("\t".join(lines[0]))
        if lines[1:] and lines[0] != lines[1]:
            print("valkey:" + "\t".join(lines[1]))


main()
