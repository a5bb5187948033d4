"""The parts of the specification that are made from the model, the schema, the scenarios and the tests.

A page holds each of them between two comments, and `python -m lab specs` writes them anew; what stands
around them is written by people.
"""

from lab.pages.blocks import PageError, blocks_of, fill
from lab.pages.made import Made, make
from lab.pages.sources import Sources, SourcesError

__all__ = ["Made", "PageError", "Sources", "SourcesError", "blocks_of", "fill", "make"]
