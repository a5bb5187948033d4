------------------------------- MODULE Expiry -------------------------------
(***************************************************************************)
(* That every due payment expires: a sweeper that has swept sweeps again,  *)
(* and each process that can go on does.                                   *)
(***************************************************************************)
EXTENDS Races

SweepsAgain(p) ==
    /\ Does(p) = "sweeps"
    /\ at[p] = "done"
    /\ at' = [at EXCEPT ![p] = "due"]
    /\ answers' = [answers EXCEPT ![p] = <<>>]
    /\ UNCHANGED <<row, attempts, now, lock, queue, sees, wrote, faults>>

ExpiryNext == Next \/ \E p \in Processes : SweepsAgain(p)

\* A sweeper could run for ever while another holds the lock, so that here each process has to go on.
ExpirySpec ==
    /\ Init
    /\ [][ExpiryNext]_vars
    /\ \A p \in Processes : WF_vars(Runs(p)) /\ WF_vars(SweepsAgain(p))

Due == row.state = "authorized" /\ ~WindowOpen(row, now)
DuePaymentsExpire == Due ~> ~Due

\* A key is in progress while its decision is written and not committed: it is decided, or as if never asked for.
KeysEnd == \A p \in Processes : wrote[p].attempt # NoAttempt ~> wrote[p].attempt = NoAttempt
RequestsAnswered == <>(\A p \in Processes : Requests(p) => at[p] = "done")
=============================================================================
