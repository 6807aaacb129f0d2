"""Opens reports in a real browser and looks at them as readers do: see visit.py for what is checked.

Usage: check.py [--screenshots DIR] [--jobs N] [--switch NAME] PAGE.html...

First the pages of broken/ prove that every check can fail: each has one planted defect and names the finding that must
come of it, and only that. Then the pages given. Exit code 0: nothing found; 1: findings; 2: it could not be checked.
"""
import argparse
import queue
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True  # The checks leave nothing beside themselves.

from visit import GROUPS, Visit  # noqa: E402
from webdriver import BrowserError, Driver  # noqa: E402

HERE = Path(__file__).parent


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description="Looks at reports in a headless Chromium.")
    parser.add_argument("pages", nargs="*", type=Path)
    parser.add_argument("--screenshots", type=Path, help="save pictures of every view here")
    parser.add_argument("--jobs", type=int, default=2, help="browsers at the same time")
    parser.add_argument("--limit", type=int, default=300, help="give up after this many seconds")
    parser.add_argument("--switch", action="append", default=[], help="name of a page whose switch must change colours")
    parser.add_argument("--no-self-test", action="store_true", help="leave out the pages with planted defects")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--chromedriver", default=shutil.which("chromedriver"))
    return parser.parse_args()


def name_of(page):
    """The name of a page in findings and of its screenshots: that of its folder, or its own."""
    return page.resolve().parent.name if page.name == "report.html" else page.stem


def look_at(session, page, options):
    """All findings of a page as (view, check, words)."""
    if page.parent == HERE / "broken":
        visit = Visit(session, page, name_of(page))
    else:
        visit = Visit(session, page, name_of(page), options.screenshots, options.rings, name_of(page) in options.switch)
    found = visit.everything()
    if name_of(page) in options.switch and not session.run(GROUPS):
        found.append(("1280 light", "switch", "there is none"))
    return found


def visit_all(driver, pages, options):
    """Findings of all pages, by page, from several browsers at once. The first error ends it."""
    todo, results, errors = queue.SimpleQueue(), {}, []
    for page in pages:
        todo.put(page)

    def work():
        session = None
        try:
            session = driver.session()
            while not errors:
                page = todo.get_nowait()
                start = time.monotonic()
                results[page] = look_at(session, page, options)
                if page.parent != HERE / "broken":
                    print(f"   {name_of(page)}: {time.monotonic() - start:.1f} s", flush=True)
        except queue.Empty:
            pass
        except BrowserError as error:
            errors.append(error)
        finally:
            if session is not None:
                session.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def merged(found):
    """The same finding of several views, coordinates aside, once: (check, words, views)."""
    kinds = {}
    for view, check, words in found:
        kinds.setdefault((check, re.sub(r"[0-9.…-]+", "0", words)), (words, []))[1].append(view)
    return [(check, words, list(dict.fromkeys(views))) for (check, _), (words, views) in kinds.items()]


def self_test(driver, options):
    """Whether every planted defect is found, and nothing else."""
    pages = sorted((HERE / "broken").glob("*.html"))
    complaints, proven = [], set()
    for page, found in visit_all(driver, pages, options).items():
        expected = set(re.search(r'<meta name="expect" content="([^"]*)"', page.read_text()).group(1).split())
        got = {check for _, check, _ in found}
        proven |= expected & got
        for check in sorted(expected - got):
            complaints.append(f"broken/{page.name}: the planted defect “{check}” was not found")
        for check, words, views in merged(found):
            if check not in expected:
                complaints.append(f"broken/{page.name}: {check}: {words} ({', '.join(views)})")
    written = set(re.findall(r'(?:find\(|"check": )"([a-z]+)"', "".join(f.read_text() for f in [*HERE.glob("*.js"), HERE / "visit.py"])))
    for check in sorted(written - proven):
        complaints.append(f"no page of broken/ proves that “{check}” can fail")
    print(f"-- self-test: {len(pages)} pages, {len(proven)} of {len(written)} checks proven to fail")
    return complaints


def main():
    """Runs it all; the exit code."""
    options = parse()
    options.rings = set()
    if not options.chromium or not options.chromedriver:
        print("browser: chromium and chromedriver are needed", file=sys.stderr)
        return 2
    if options.screenshots:
        options.screenshots.mkdir(parents=True, exist_ok=True)
    try:
        with Driver(options.chromium, options.chromedriver) as driver:
            complaints = [] if options.no_self_test else self_test(driver, options)
            for complaint in complaints:
                print(f"browser: self-test: {complaint}", file=sys.stderr)
            count = len(complaints)
            for page, found in sorted(visit_all(driver, options.pages, options).items()):
                for check, words, views in merged(found):
                    count += 1
                    print(f"browser: {name_of(page)}: {check}: {words}\n         in: {', '.join(views)}", file=sys.stderr)
    except BrowserError as error:
        print(f"browser: {error}", file=sys.stderr)
        return 2
    print(f"-- {len(options.pages)} pages, {count} findings")
    return 1 if count else 0


def stop(number, _frame):
    """Ends by a signal through every `finally` on the way."""
    if number == signal.SIGALRM:
        print("browser: out of time", file=sys.stderr)
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, stop)
    limit = next((int(b) for a, b in zip(sys.argv, sys.argv[1:]) if a == "--limit"), 300)
    signal.alarm(limit)
    sys.exit(main())
