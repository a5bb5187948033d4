--------------------------- MODULE PaymentsGraph ---------------------------
(* Prints every edge of the state graph of Payments, for whoever compares graphs. *)
EXTENDS Payments, Sequences, TLC

Show == PrintT(ToString(view) \o " -> " \o ToString(last') \o " -> " \o ToString(view'))
=============================================================================
