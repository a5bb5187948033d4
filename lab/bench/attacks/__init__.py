"""What `make bench-attacks` tries: whether valid captures are answered while somebody attacks.

To add an attack, write a function that takes a `Target` and a `Told` in a module of this package, and name
it in `bench_attacks.ATTACKS`. It runs in a process of its own, calls ``told.is_under_way()`` once its attack
is, and goes on until ``told.is_over()``. ``target`` has what clients have (port and token), what stands at
the database (its owner's DSN), and an authorized payment that no valid capture is for. What the service needs
for it, settings or a file limit, stands in its `Attack`.
"""
