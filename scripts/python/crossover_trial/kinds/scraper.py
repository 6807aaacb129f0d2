"""Kind `scraper`: fetch a page, find its links, count its words.

Parsed by two regular expressions; the standard library's html.parser gives the same and takes several times as long. Neither lets
go of the global lock.
"""
import collections
import hashlib
import re

from ..clients import PATIENCE_S, HttpError
from . import Params, half_up
from .http import blocking, server_of, streams

_LINK, _TAG = re.compile(r'<a href="([^"]*)"'), re.compile(r"<[^>]*>")


def digest(page):
    """What a page says: its links in order, its words and how often each stands there."""
    links = _LINK.findall(page)
    words = collections.Counter(_TAG.sub(" ", page).split())
    text = "".join(link + "\n" for link in links) + "".join(f"{w} {words[w]}\n" for w in sorted(words))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


class Scraper:
    """See the module."""

    input_bytes = 0

    def __init__(self, spec, delay_us, page_bytes):
        self._server, self._limit_s = server_of(spec), PATIENCE_S + delay_us / 1e6
        self._target = f"/page?us={delay_us}&seed={spec.seed}&bytes={page_bytes}&n="

    def _digest(self, status, page):
        if status != 200:
            raise HttpError(f"answered with status {status}")
        return digest(page.decode("ascii"))

    def run_blocking(self, task):
        return self._digest(*blocking(self._server).get(f"{self._target}{task}", self._limit_s))

    async def run_async(self, task):
        return self._digest(*await streams(self._server).get(f"{self._target}{task}", self._limit_s))


def prepare(spec):
    params = Params(spec)
    delay_us, page_bytes = half_up(params.number("delay_ms") * 1000), params.whole("page_bytes")
    params.end()
    return Scraper(spec, delay_us, page_bytes)
