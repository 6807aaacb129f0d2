"""The trial's entry: `python3 -I -B scripts/python/crossover_trial STRATEGY [--workers N] [--chunk N]`."""
import os
import sys

# A folder of compiled files would be left behind in whatever the user has checked out.
sys.dont_write_bytecode = True

if sys.version_info < (3, 9):
    sys.exit("crossover_trial: it needs Python 3.9 or later, this is %d.%d" % sys.version_info[:2])

# The package's own folder is the first entry when a folder is run. What is wanted is the folder above it, so that the
# modules are known by the same names here and in worker processes.
_HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [os.path.dirname(_HERE)] + [path for path in sys.path if os.path.abspath(path) != _HERE]

if __name__ == "__main__":
    from crossover_trial import loop

    loop.main(sys.argv[1:])
