"""The parts of the specification that are made from the model, the schema, the scenarios and the tests.

A page holds each of them between two comments, and `payments-verify specs` writes them anew; what stands
around them is written by people.
"""

from payments_verify.pages.blocks import PageError, blocks_of, fill
from payments_verify.pages.made import Made, make
from payments_verify.pages.sources import Sources, SourcesError

__all__ = ["Made", "PageError", "Sources", "SourcesError", "blocks_of", "fill", "make"]
