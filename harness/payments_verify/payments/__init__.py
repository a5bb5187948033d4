"""All that the harness knows of payments: the binding to the HTTP service, the specification, the workloads.

Everything outside this package is generic over a ``Spec``.
"""
