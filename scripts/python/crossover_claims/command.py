"""Arguments and output of claims.py."""
import argparse
import json
import os
import sys

from . import compute, costs, registry, server, stalls, waits, web

# What a child of this script may be asked to do.
INNER = {"serve": server.main, **costs.INNER}


def main(arguments, script, text):
    """Runs what the arguments say."""
    if arguments[:1] == ["--inner"]:
        INNER[arguments[1]](arguments[2:])
        return
    options = _parser(text).parse_args(arguments)
    rows = [registry.ROWS[identity] for identity in options.row or sorted(registry.ROWS, key=_order)]
    # The real stdout is for lines about rows alone.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if options.list:
        for one in rows:
            shown = {"id": one.identity, "unit": one.unit, "title": one.title, "seconds": one.seconds}
            print(json.dumps(shown), file=out, flush=True)
        return
    context = registry.Context(script, options.quick, options.full, options.server)
    try:
        for one in rows:
            print(json.dumps(registry.measure(one, context, options.repeats)), file=out, flush=True)
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(130)
    finally:
        context.close()


def _parser(text):
    parser = argparse.ArgumentParser(
        prog="claims.py", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", action="append", metavar="ID", choices=list(registry.ROWS))
    parser.add_argument("--repeats", type=_positive, default=1, metavar="N")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--server", metavar="HOST:PORT")
    parser.add_argument("--list", action="store_true")
    return parser


def _order(identity):
    """The rows of the articles by their numbers, then the others."""
    return (0, int(identity), "") if identity.isdigit() else (1, 0, identity)


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be at least 1")
    return number


# The modules register their rows when they are imported.
_ = (compute, stalls, waits, web)
