"""The version of the installed package, and how to cite it."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("genexp")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+source"

CITATION = f"The genexp developers. genexp, version {__version__}. https://github.com/genexp/genexp"
