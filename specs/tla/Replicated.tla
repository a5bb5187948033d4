----------------------------- MODULE Replicated -----------------------------
(***************************************************************************)
(* The protocol on a database with a standby, which may take its place.    *)
(*                                                                         *)
(* A commit returns when it has reached the standby, and with it all that  *)
(* was committed before.  The wait can be given up: then the commit stands *)
(* on the primary alone, and nobody was told.  What is lost by a failover  *)
(* must be what nobody was told.                                           *)
(***************************************************************************)
EXTENDS Races

VARIABLE kept \* what the standby has: what was stored once

\* Whether a replay, which writes nothing, waits like every commit; a weakened model overrides it.
ReplaysWait == TRUE

Replays(p) == IsCapture(p) /\ Decision(p, sees[p]).replayed
WaitsForStandby(p) == at[p] = "commit" /\ (ReplaysWait \/ ~Replays(p))

Goes(p) == Runs(p) /\ kept' = IF WaitsForStandby(p) THEN stored' ELSE kept

Breaks ==
    \/ (Crash \/ \E p \in Processes : Cut(p)) /\ UNCHANGED kept
    \/ (\E p \in Processes : LoseAnswer(p)) /\ kept' = stored'

\* The commit is carried out here, and the wait for the standby is given up.
GiveUpWaiting(p) == LoseAnswer(p) /\ UNCHANGED kept

\* The standby takes the database's place: what had not reached it is gone.
FailOver ==
    /\ faults > 0
    /\ faults' = faults - 1
    /\ row' = kept[1]
    /\ attempts' = kept[2]
    /\ AllBeginAgain
    /\ UNCHANGED <<now, answers, kept>>

ReplicatedInit == Init /\ kept = stored
ReplicatedEnd == End /\ UNCHANGED kept
ReplicatedNext ==
    \/ Breaks
    \/ FailOver
    \/ ReplicatedEnd
    \/ \E p \in Processes : Goes(p) \/ GiveUpWaiting(p)

ReplicatedSpec ==
    /\ ReplicatedInit
    /\ [][ReplicatedNext]_<<vars, kept>>
    /\ WF_<<vars, kept>>(\E p \in Processes : Goes(p))

\* What clients were told, the standby has.
AnswersAreKept ==
    \A c \in Definite : c.answer.outcome \in Recorded =>
        c.answer.outcome = Under(c.command.key, kept[2]).outcome
=============================================================================
