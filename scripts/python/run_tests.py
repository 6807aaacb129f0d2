"""Runs every test below this folder; see test.sh."""
import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

if __name__ == "__main__":
    found = unittest.TestSuite(
        unittest.defaultTestLoader.discover(os.path.join(HERE, package, "tests"), top_level_dir=HERE)
        for package in ("crossover_trial", "crossover_claims")
    )
    sys.exit(not unittest.TextTestRunner(verbosity=1).run(found).wasSuccessful())
