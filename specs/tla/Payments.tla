------------------------------ MODULE Payments ------------------------------
(***************************************************************************)
(* The reference state machine: one payment, one command after the other.  *)
(* A state is what is stored, and the time.  Every command is tried in     *)
(* every state, and time moves on until the last instant.                  *)
(*                                                                         *)
(* `last' is the command that led to a state and its answer.  It is no     *)
(* part of the state: the view leaves it out, so that TLC finds exactly    *)
(* the states of the Python model's graph, and follows exactly its edges.  *)
(***************************************************************************)
EXTENDS Rules, FiniteSets

CONSTANTS Keys, Amounts, Windows, Reasons, LastInstant

VARIABLES payment, attempts, now, last

stored == <<payment, attempts>>
view == <<payment, attempts, now>>
vars == <<payment, attempts, now, last>>

----------------------------------------------------------------------------

Init ==
    /\ payment = NoPayment
    /\ attempts = [k \in Keys |-> NoAttempt]
    /\ now = 0
    /\ last = [command |-> [f |-> "none"], outcome |-> "none", replayed |-> FALSE]

\* A command is decided: its answer and its effect are one step.
Ask(command) ==
    LET hasKey == command.f = "capture"
        known  == IF hasKey THEN attempts[command.key] ELSE NoAttempt
        done   == Decide(payment, known, command, now)
    IN  /\ payment' = done.payment
        /\ attempts' = IF hasKey THEN [attempts EXCEPT ![command.key] = done.attempt] ELSE attempts
        /\ last' = [command |-> command, outcome |-> done.outcome, replayed |-> done.replayed]
        /\ UNCHANGED now

AskCreate == \E a \in Amounts : Ask([f |-> "create", amount |-> a])
AskAuthorize == \E w \in Windows : Ask([f |-> "authorize", window |-> w])
AskCapture == \E k \in Keys, a \in Amounts : Ask([f |-> "capture", key |-> k, amount |-> a])
AskFail == \E r \in Reasons : Ask([f |-> "fail", reason |-> r])
AskExpire == Ask([f |-> "expire"])
AskRead == Ask([f |-> "read"])

Wait ==
    /\ now < LastInstant
    /\ now' = now + 1
    /\ last' = [command |-> [f |-> "wait"], outcome |-> "none", replayed |-> FALSE]
    /\ UNCHANGED stored

Next == AskCreate \/ AskAuthorize \/ AskCapture \/ AskFail \/ AskExpire \/ AskRead \/ Wait

Spec == Init /\ [][Next]_vars

----------------------------------------------------------------------------
(* The invariants of specs/specification.md that speak of one command after the other. *)

Successes == {k \in Keys : attempts[k].outcome = "captured"}

TypeOK ==
    /\ payment.state \in States \cup {"none"}
    /\ \A k \in Keys : attempts[k] = NoAttempt \/ attempts[k].outcome \in Recorded
    /\ now \in 0..LastInstant

I1 == /\ Cardinality(Successes) <= 1
      /\ \A k \in Successes : attempts[k].amount = payment.amount

I5 == /\ payment.state = "captured" => payment.captured_at < payment.capture_expires_at
      /\ payment.state = "failed" /\ payment.reason = "expired" =>
            payment.failed_at >= payment.capture_expires_at

I6 == /\ payment.state = "captured" <=> Successes # {}
      /\ payment.state = "captured" => payment.captured_amount = payment.amount
      /\ payment = NoPayment => \A k \in Keys : attempts[k] = NoAttempt

(* Of a step, and of its answer. *)

Decided == last'.command.f # "wait"
ByKey == last'.command.f = "capture" /\ AmountOk(last'.command.amount)
Known == attempts[last'.command.key]

I2 == [][payment' # payment => <<payment.state, payment'.state>> \in LegalMoves]_vars

I3 == [][/\ \A k \in Keys : attempts[k] # NoAttempt => attempts'[k] = attempts[k]
         /\ ByKey /\ Known # NoAttempt /\ Known.amount = last'.command.amount =>
                last'.replayed /\ last'.outcome = Known.outcome /\ UNCHANGED stored
         /\ ByKey /\ Known = NoAttempt /\ last'.outcome \in Recorded =>
                attempts'[last'.command.key] = Attempt(last'.command.amount, last'.outcome, now)]_vars

I4 == [][ByKey /\ Known # NoAttempt /\ Known.amount # last'.command.amount =>
            last'.outcome = "key_reused" /\ UNCHANGED stored]_vars

I11 == [][/\ payment' # payment =>
                ~last'.replayed /\ last'.outcome \in {"created", "authorized", "captured", "failed", "expired"}
          /\ attempts' # attempts => ByKey /\ last'.outcome \in Recorded]_vars
=============================================================================
