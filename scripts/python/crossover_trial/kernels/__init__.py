"""The kernels of kind `cpu`: one module each, with a function `prepare(kernel, seed, input_bytes)` that returns (run, bytes of inputs).

`run(task)` gives the task's digest. What a module needs beside the standard library it imports in `prepare`, and raises `Unfit`
where that is not there.
"""
import importlib

from ..errors import Unfit

MODULES = {
    "sha256": "sha256",
    "blake3": "blake3_",
    "resize": "images",
    "thumbnail": "images",
    "json": "json_",
    "mlp": "mlp",
    "mandelbrot": "mandelbrot",
    "sort": "sort",
}


def prepare(kernel, seed, input_bytes):
    """The kernel of this name."""
    if kernel not in MODULES:
        raise Unfit(f"the kernel `{kernel}` is not built here; there are {', '.join(MODULES)}")
    return importlib.import_module(f"{__name__}.{MODULES[kernel]}").prepare(kernel, seed, input_bytes)


def needs(module, package, kernel):
    """A module that does not come with Python."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unfit(f"the kernel {kernel} needs {package}, which this Python cannot import") from None
