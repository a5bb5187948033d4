"""What this repository's service shows beside outcomes: headers, problem types, rights, lists, counters.

Another service's is not known: its binding says what an answer means, and nothing of the rest.
"""

from payments_verify.surface.at_limits import TIGHT, LoneProcess
from payments_verify.surface.exchange import Server
from payments_verify.surface.own import OwnSurface
from payments_verify.surface.witness import Carrier, FirstAnswers, Witness

__all__ = ["TIGHT", "Carrier", "FirstAnswers", "LoneProcess", "OwnSurface", "Server", "Witness"]
