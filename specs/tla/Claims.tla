------------------------------- MODULE Claims -------------------------------
(***************************************************************************)
(* Another protocol, which many services have: a request first commits a   *)
(* claim of its key, and whoever asks for a claimed key is told that it is *)
(* in progress, and asks again.  A fault takes the transaction back, and   *)
(* leaves the claim.  Unless a claim lapses, its key never ends.           *)
(***************************************************************************)
EXTENDS Races

VARIABLES
    claimed, \* the keys that are in progress, committed
    claims   \* the processes whose own claim that is

\* Whether the claim of a request that has failed is given up after a while; a weakened model overrides it.
ClaimsLapse == TRUE

ClaimedVars == <<vars, claimed, claims>>
KeyOf(p) == Command(p).key

Claim(p) ==
    /\ Sends(p, "begin")
    /\ IsCapture(p)
    /\ p \notin claims
    /\ KeyOf(p) \notin claimed
    /\ claimed' = claimed \cup {KeyOf(p)}
    /\ claims' = claims \cup {p}
    /\ UNCHANGED vars

\* A capture begins with its claim, and its answer ends it.
Proceeds(p) ==
    /\ at[p] = "begin" /\ IsCapture(p) => p \in claims
    /\ Runs(p)
    /\ IF p \in claims /\ answers'[p] # answers[p]
       THEN claimed' = claimed \ {KeyOf(p)} /\ claims' = claims \ {p}
       ELSE UNCHANGED <<claimed, claims>>

Fails(p) == (Cut(p) \/ LoseAnswer(p)) /\ claims' = claims \ {p} /\ UNCHANGED claimed

Lapse(key) ==
    /\ ClaimsLapse
    /\ key \in claimed
    /\ \A p \in claims : KeyOf(p) # key
    /\ claimed' = claimed \ {key}
    /\ UNCHANGED <<vars, claims>>

ClaimedInit == Init /\ claimed = {} /\ claims = {}
ClaimedNext ==
    \/ End /\ UNCHANGED <<claimed, claims>>
    \/ \E p \in Processes : Claim(p) \/ Proceeds(p) \/ Fails(p)
    \/ \E key \in claimed : Lapse(key)

ClaimsSpec ==
    /\ ClaimedInit
    /\ [][ClaimedNext]_ClaimedVars
    /\ \A p \in Processes : WF_ClaimedVars(Claim(p)) /\ WF_ClaimedVars(Proceeds(p))
    /\ WF_ClaimedVars(\E key \in claimed : Lapse(key))

ClaimedKeysEnd == \A p \in Processes : (at[p] # "done" /\ KeyOf(p) \in claimed) ~> at[p] = "done"
=============================================================================
