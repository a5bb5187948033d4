------------------------------- MODULE Events -------------------------------
(***************************************************************************)
(* The events that decisions leave (I12), and their numbers.               *)
(*                                                                         *)
(* A capture draws its number where it looks its key up, after the lock;   *)
(* what has no key, in the statement that moves the payment.  The          *)
(* statement that stores a decision writes its event, in its transaction.  *)
(* The primary key refuses a number twice.                                 *)
(***************************************************************************)
EXTENDS Races

VARIABLES
    events, \* the committed events
    drawn,  \* the number that a capture has drawn; 0 is none
    written \* the events that it has written, and not committed: one, or none

all == <<vars, events, drawn, written>>

NoKey == "none"
NextNumber == Cardinality(events) + 1
Event(number, outcome, key, decided, granted) ==
    [number |-> number, outcome |-> outcome, key |-> key, decided_at |-> decided, granted |-> granted]

\* What moved a payment to where it is: its creation, and what it went through since.
MoveTo(payment) ==
    CASE payment.state = "pending" -> "created"
      [] payment.state = "failed" -> IF payment.reason = "expired" THEN "expired" ELSE "failed"
      [] OTHER -> payment.state

\* The past of the payment when the race begins.
Past ==
    CASE Prepared = NoPayment -> {}
      [] Prepared.state = "pending" -> {Event(1, "created", NoKey, 0, 0)}
      [] Prepared.state = "authorized" ->
            {Event(1, "created", NoKey, 0, 0), Event(2, "authorized", NoKey, 0, 0)}

----------------------------------------------------------------------------

\* The statement with the number: it is read from what is committed when the statement starts.
DrawsIn(p, statement) == IsCapture(p) /\ statement = IF LookUp = InTheLock THEN "lock" ELSE "find"

\* The statement that writes the event: where the attempt is stored, or else the move.
WritesIn(p, statement) == statement = IF IsCapture(p) THEN "insert" ELSE "update"

\* Whoever writes has the lock, so that nobody waits here for a number that is not committed.
Refused(p) ==
    /\ Sends(p, "insert")
    /\ ~Contended(p)
    /\ Constraints
    /\ \E e \in events : e.number = drawn[p]

RefuseEvent(p) ==
    /\ Refused(p)
    /\ Break(p)
    /\ UNCHANGED <<row, attempts, now, lock, queue, answers, faults, events, drawn, written>>

\* The event of what the statement has just written.
WrittenEvent(p) ==
    LET attempt == wrote'[p].attempt
        payment == wrote'[p].row
        moved_at == IF payment.state = "failed" THEN payment.failed_at ELSE payment.authorized_at
    IN  IF attempt # NoAttempt
        THEN Event(drawn[p], attempt.outcome, attempt.key, attempt.decided_at, attempt.granted)
        ELSE Event(NextNumber, MoveTo(payment), NoKey, moved_at, sees[p].granted)

Forgets(p) == drawn' = [drawn EXCEPT ![p] = 0] /\ written' = [written EXCEPT ![p] = {}]

\* A commit keeps the event with the decision.
Keeps(p) == events' = events \cup written[p] /\ Forgets(p)

\* Creation is one statement, and so is its event.
KeepsCreation ==
    /\ events' = IF row = NoPayment THEN events \cup {Event(1, "created", NoKey, now, now)} ELSE events
    /\ UNCHANGED <<drawn, written>>

Goes(p) ==
    \/ RefuseEvent(p)
    \/ /\ ~Refused(p)
       /\ Runs(p)
       /\ CASE at[p] = "commit" -> Keeps(p)
            [] at[p] = "create" -> KeepsCreation
            [] at[p] = "rollback" -> Forgets(p) /\ UNCHANGED events
            [] DrawsIn(p, at[p]) /\ ~Waits(p) ->
                    drawn' = [drawn EXCEPT ![p] = NextNumber] /\ UNCHANGED <<events, written>>
            [] WritesIn(p, at[p]) /\ wrote'[p] # wrote[p] ->
                    written' = [written EXCEPT ![p] = {WrittenEvent(p)}] /\ UNCHANGED <<events, drawn>>
            [] OTHER -> UNCHANGED <<events, drawn, written>>

Breaks ==
    \/ \E p \in Processes :
        \/ Cut(p) /\ Forgets(p) /\ UNCHANGED events
        \/ LoseAnswer(p) /\ Keeps(p)
        \/ LoseCreation(p) /\ KeepsCreation
    \/ /\ Crash
       /\ drawn' = [p \in Processes |-> 0]
       /\ written' = [p \in Processes |-> {}]
       /\ UNCHANGED events

EventsInit ==
    /\ Init
    /\ events = Past
    /\ drawn = [p \in Processes |-> 0]
    /\ written = [p \in Processes |-> {}]

EventsEnd == End /\ UNCHANGED <<events, drawn, written>>
EventsNext == Breaks \/ EventsEnd \/ \E p \in Processes : Goes(p)
EventsSpec == EventsInit /\ [][EventsNext]_all /\ WF_all(\E p \in Processes : Goes(p))

----------------------------------------------------------------------------
(* I12. *)

Numbered == {e.number : e \in events} = 1..Cardinality(events)

\* Each was decided before the lock for the next was granted; the clock goes forward here.
InTheOrderOfGrants == \A e, f \in events : e.number < f.number => e.decided_at <= f.granted

\* One event for each stored attempt; the last move is the payment's.
OneForEachAttempt ==
    LET keyed == {e \in events : e.key # NoKey}
    IN  /\ Cardinality(keyed) = Cardinality(attempts)
        /\ \A a \in attempts : \E e \in keyed :
                <<e.key, e.outcome, e.decided_at>> = <<a.key, a.outcome, a.decided_at>>

Moving == {e \in events : e.outcome \in {"created", "authorized", "captured", "failed", "expired"}}
MovesExplainTheRow ==
    IF Moving = {} THEN row = NoPayment
    ELSE \E last \in Moving :
            /\ \A e \in Moving : e.number <= last.number
            /\ last.outcome = MoveTo(row)

I12 == Numbered /\ InTheOrderOfGrants /\ OneForEachAttempt /\ MovesExplainTheRow

\* A decision is stored with one event, which has the next number, and no event without a decision.
EachWithItsEvent ==
    [][IF stored' = stored THEN events' = events
       ELSE \E e \in events' : e.number = NextNumber /\ events' = events \cup {e}]_all

OneWrites == \A p, q \in Processes : written[p] # {} /\ written[q] # {} => p = q

I12AtTheEnd == AllDone => I12
=============================================================================
