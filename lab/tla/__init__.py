"""The TLA+ specification in ``specs/tla``, checked by TLC and compared with the model and with real runs.

TLC is the model checker of the TLA+ tools. It needs Java, and comes with the extra ``tla``.
"""
