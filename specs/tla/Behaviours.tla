----------------------------- MODULE Behaviours -----------------------------
(* Prints every step of the races, for whoever counts the ways from the beginning to the end. *)
EXTENDS Races, TLC

Show == vars' = vars \/ PrintT(ToString(vars) \o " -> " \o ToString(vars'))
=============================================================================
