"""The protocol, proved for any number of clients, payments, keys and instants by an inductive invariant."""
