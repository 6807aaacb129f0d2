"""What a WebSocket client needs of RFC 6455: the handshake and frames that are not fragmented. No input or output here."""
import base64
import hashlib
import os

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE = 1, 8


class WebSocketError(Exception):
    """The other side does not speak WebSocket as it should."""


def hello(target, host):
    """A request to change to WebSocket, and the answer's proof that it was understood."""
    key = base64.b64encode(os.urandom(16))
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n\r\n"
    )
    return request.encode(), accept_key(key)


def check_hello(head, proof):
    """Refuses the head of an answer that does not agree."""
    first, *lines = head.split(b"\r\n")
    accepted = [line.partition(b":")[2].strip() for line in lines if line.lower().startswith(b"sec-websocket-accept:")]
    if b" 101 " not in first + b" " or accepted != [proof]:
        raise WebSocketError(f"no change to WebSocket: {first[:80]!r}")


def accept_key(key):
    """What a server answers to a client's key."""
    return base64.b64encode(hashlib.sha1(key + _MAGIC).digest())


def frame(data, opcode=TEXT, mask=None):
    """A frame; a client's has a mask of four bytes."""
    bit, n = (0 if mask is None else 0x80), len(data)
    head = bytes((0x80 | opcode,))
    if n < 126:
        head += bytes((bit | n,))
    elif n < 1 << 16:
        head += bytes((bit | 126,)) + n.to_bytes(2, "big")
    else:
        head += bytes((bit | 127,)) + n.to_bytes(8, "big")
    return head + data if mask is None else head + mask + masked(data, mask)


def masked(data, mask):
    """Every byte combined with that of the mask; all at once in one long integer."""
    n = len(data)
    pattern = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")).to_bytes(n, "little")


def length_of(second):
    """Of the second byte of a frame: its length, or 0 and how many bytes tell it, and whether a mask follows."""
    n = second & 0x7F
    return (n, 0, bool(second & 0x80)) if n < 126 else (0, 2 if n == 126 else 8, bool(second & 0x80))
