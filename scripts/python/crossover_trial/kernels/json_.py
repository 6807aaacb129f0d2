"""`json`: the standard library's module (its parser and writer are C, and hold the global lock)."""
import json

from ..digests import seal_bytes, word


def _compact(document):
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def document(seed, i):
    """The i-th document, as a line."""
    base = word(seed, i)
    items = []
    for item in range(1 + base % 4):
        bits = word(base, 8 + item)
        price = (bits >> 8 & 0xFFFF) / 16
        items.append({"count": bits % 100, "name": "item-%08x" % (bits >> 32), "price": price})
    return _compact(
        {
            "active": word(base, 0) % 2 == 0,
            "balance": (word(base, 1) >> 44) / 16,
            "email": "user%d@example.org" % (word(base, 2) % 100000),
            "id": word(base, 3) >> 24,
            "items": items,
            "name": 'Zo\xeb "%04x"\n\u2713' % (word(base, 4) >> 48),
            "note": None,
            "tags": ["t%d" % (word(base, 5) % 100), "t%d" % (word(base, 6) % 100), "end"],
        }
    )


def prepare(_kernel, seed, input_bytes):
    lines = [document(seed, 0)]
    size = len(lines[0])
    while size + len(line := document(seed, len(lines))) <= input_bytes:
        lines.append(line)
        size += len(line)

    def run(task):
        written = []
        for line in lines:
            read = json.loads(line)
            total = 0.0
            for item in read["items"]:
                item["count"] += task
                total += item["count"] * item["price"]
            read["tags"].reverse()
            read["id"] += task
            read["total"] = total
            written.append(_compact(read))
        return seal_bytes(b"".join(written), seed, task)

    return run, size
