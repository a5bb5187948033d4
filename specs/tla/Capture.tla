------------------------------ MODULE Capture ------------------------------
(***************************************************************************)
(* The protocol: what racing requests do to one payment's row, statement   *)
(* by statement, as PostgreSQL carries it out at READ COMMITTED.           *)
(*                                                                         *)
(* A step is one SQL statement, the one that the gate of payments_verify   *)
(* holds and lets go.  A capture is                                        *)
(*     begin, lock, find, clock, (update,) (insert,) commit                *)
(* and decides by the rule, on what it has read, after the last read.      *)
(*                                                                         *)
(* The order of the reads is the protocol.  The constants weaken it.       *)
(***************************************************************************)
EXTENDS Rules, Sequences, FiniteSets

CONSTANTS
    Programs,    \* what each process does: a function from 0..n
    Prepared,    \* the payment when the race begins
    Locking,     \* whether the lock statement locks the row
    LookUp,      \* where the key is looked up
    Clock,       \* where the clock is read
    Constraints, \* whether the schema refuses what the code must not do
    EagerWake,   \* whether a waiter goes on at once, and in turn, as behind the gate
    MaxFaults    \* how often something may go wrong

\* What holds of the protocol, and what a model of another one overrides.
SweeperLocks == TRUE    \* whether the sweeper locks what it finds due
KeyWithCapture == TRUE  \* whether the attempt is stored in the transaction that moves the payment
CommitLast == TRUE      \* whether the lock is kept until the payment is moved
ClockStepsBack == FALSE \* whether the clock may be set back
SweeperOutlives == TRUE \* whether the sweeper goes on after a fault
BeginsAt == 0           \* what the clock shows when the race begins

AfterTheLock == "after the lock"
InTheLock == "in the locking statement"
BeforeTheLock == "before the lock"
AtTheStart == "at the transaction's start"

ASSUME /\ LookUp \in {BeforeTheLock, InTheLock, AfterTheLock}
       /\ Clock \in {AtTheStart, InTheLock, AfterTheLock}
       /\ {Locking, Constraints, EagerWake} \subseteq BOOLEAN
       /\ MaxFaults \in Nat

VARIABLES
    row,      \* the payment, committed
    attempts, \* the stored attempts, committed
    now,      \* the database's clock
    lock,     \* the process that holds the row's lock
    queue,    \* the processes whose statement waits, in the order in which they came
    at,       \* the statement that a process sends next, or waits in
    sees,     \* what it has read in its transaction
    wrote,    \* what it has written, and not committed
    answers,  \* what it was answered, command by command
    faults    \* how often something may still go wrong

stored == <<row, attempts>>
vars == <<row, attempts, now, lock, queue, at, sees, wrote, answers, faults>>

Processes == DOMAIN Programs
Nobody == -1
NothingSeen == [row |-> NoPayment, found |-> NoAttempt, begun |-> 0, clock |-> 0, granted |-> 0, broken |-> FALSE]
NothingWritten == [row |-> NoPayment, attempt |-> NoAttempt]

----------------------------------------------------------------------------
(* Programs: [does |-> "requests", commands |-> a sequence of commands],   *)
(* [does |-> "sweeps"], [does |-> "holds", leaving |-> ...] for a session  *)
(* outside the service that takes the row's lock, and                      *)
(* [does |-> "ticks", to |-> ...] for the clock.                           *)

Does(p) == Programs[p].does
Requests(p) == Does(p) = "requests"
Command(p) == Programs[p].commands[Len(answers[p]) + 1]
IsCapture(p) == Requests(p) /\ Command(p).f = "capture"

\* The first statement of a process that has been answered n times.
First(p, n) ==
    CASE Does(p) = "ticks" -> IF n = 0 THEN "tick" ELSE "done"
      [] Does(p) = "requests" ->
            IF n = Len(Programs[p].commands) THEN "done"
            ELSE IF Programs[p].commands[n + 1].f \in {"read", "create"} THEN Programs[p].commands[n + 1].f
            ELSE "begin"
      [] Does(p) = "sweeps" -> IF n = 0 THEN "due" ELSE "done"
      [] OTHER -> IF n = 0 THEN "begin" ELSE "done"

\* The statements that read, in their order.
Reads(p) ==
    CASE Does(p) = "holds" -> <<"lock">>
      [] Does(p) = "sweeps" -> <<"lock", "clock">>
      [] ~IsCapture(p) -> <<"lock", "clock">>
      [] LookUp = BeforeTheLock -> <<"find", "lock", "clock">>
      [] LookUp = InTheLock -> <<"lock", "clock">>
      [] LookUp = AfterTheLock -> <<"lock", "find", "clock">>

\* The attempt stored under a key, as the model has it.
Under(key, some) ==
    IF \E a \in some : a.key = key
    THEN LET a == CHOOSE a \in some : a.key = key IN Attempt(a.amount, a.outcome, a.decided_at)
    ELSE NoAttempt

FindKey(p) == IF IsCapture(p) THEN Under(Command(p).key, attempts) ELSE NoAttempt

\* The instant that decides.
Instant(seen) == IF Clock = AtTheStart THEN seen.begun ELSE seen.clock

Decision(p, seen) == Decide(seen.row, seen.found, Command(p), Instant(seen))

\* The payment that an UPDATE writes: the whole row; a holder's is guarded by the state that it finds.
NewRow(p, seen) ==
    CASE Does(p) = "requests" -> Decision(p, seen).payment
      [] Does(p) = "sweeps" -> Failed(seen.row, "expired", Instant(seen))
      [] Does(p) = "holds" -> IF row.state = "authorized" THEN Failed(row, "voided", now) ELSE NoPayment

NewAttempt(p, seen) ==
    [key |-> Command(p).key, amount |-> Command(p).amount, outcome |-> Decision(p, seen).outcome,
     decided_at |-> Instant(seen), granted |-> seen.granted, by |-> p]

\* Whether it moves the payment after its commit, in one statement of its own: a weakened protocol.
MovesAfterCommit(p) ==
    ~CommitLast /\ IsCapture(p) /\ Decision(p, sees[p]).payment # sees[p].row

\* The statements that follow the reads, given what was seen.
Writes(p, seen) ==
    CASE Does(p) = "holds" ->
            (CASE Programs[p].leaving = "only locked" -> <<"commit">>
               [] Programs[p].leaving = "voided" -> <<"update", "commit">>
               [] Programs[p].leaving = "rolled back" -> <<"update", "rollback">>)
      [] Does(p) = "sweeps" ->
            IF seen.row # NoPayment /\ ~WindowOpen(seen.row, Instant(seen))
            THEN <<"update", "commit">> ELSE <<"rollback">>
      [] OTHER ->
            LET done == Decision(p, seen)
                update == IF done.payment # seen.row THEN <<"update">> ELSE <<>>
                insert == IF IsCapture(p) /\ done.attempt # seen.found THEN <<"insert">> ELSE <<>>
            IN  CASE insert = <<>> \/ (KeyWithCapture /\ CommitLast) -> update \o insert \o <<"commit">>
                  [] CommitLast -> insert \o update \o <<"commit">>
                  [] OTHER -> insert \o <<"commit">> \o update

\* The statement after s.
Following(s, all) == all[(CHOOSE i \in DOMAIN all : all[i] = s) + 1]

After(p, s, seen) ==
    LET reads == Reads(p)
    IN  IF s = reads[Len(reads)] THEN Writes(p, seen)[1]
        ELSE IF \E i \in DOMAIN reads : reads[i] = s THEN Following(s, reads)
        ELSE Following(s, Writes(p, seen))

----------------------------------------------------------------------------
(* Waiting. *)

Waits(p) == \E i \in DOMAIN queue : queue[i] = p

Conflict(a, b) == a.key = b.key \/ (a.outcome = "captured" /\ b.outcome = "captured")

\* Whether the unique indexes make the process wait for others' insertions that are not committed.
Contended(p) ==
    Constraints /\ \E q \in Processes \ {p} :
        wrote[q].attempt # NoAttempt /\ Conflict(wrote[q].attempt, NewAttempt(p, sees[p]))

MayGoOn(p) == IF at[p] = "insert" THEN ~Contended(p) ELSE lock = Nobody

Hurry == EagerWake /\ \E p \in Processes : Waits(p) /\ MayGoOn(p)

\* The process is about to send s.
Sends(p, s) == at[p] = s /\ ~Waits(p) /\ ~Hurry

Goto(p, s) == at' = [at EXCEPT ![p] = s]
See(p, seen) == sees' = [sees EXCEPT ![p] = seen]
Enqueue(p) == queue' = Append(queue, p)
Dequeued(p) == SelectSeq(queue, LAMBDA q : q # p)
Release(p) == lock' = IF lock = p THEN Nobody ELSE lock

----------------------------------------------------------------------------
(* Statements that read. *)

Begin(p) ==
    /\ Sends(p, "begin")
    /\ See(p, [NothingSeen EXCEPT !.begun = now])
    /\ Goto(p, Reads(p)[1])
    /\ UNCHANGED <<row, attempts, now, lock, queue, wrote, answers, faults>>

LocksRow(p) == (Locking \/ Does(p) = "holds") /\ row # NoPayment

\* What the locking statement sees when it starts: what is committed then.
Snapshot(p) ==
    [sees[p] EXCEPT !.row = row,
                    !.granted = now,
                    !.found = IF LookUp = InTheLock THEN FindKey(p) ELSE @,
                    !.clock = IF Clock = InTheLock THEN now ELSE @]

\* What it sees when it has waited: of the locked row the newest version; the rest of the statement is
\* evaluated again only if there is a newer version, and then the other tables are still as they were.
Reevaluated(p) ==
    [sees[p] EXCEPT !.row = row,
                    !.granted = now,
                    !.clock = IF Clock = InTheLock /\ row # sees[p].row THEN now ELSE @]

LockRow(p) ==
    /\ Sends(p, "lock")
    /\ Does(p) # "sweeps"
    /\ See(p, Snapshot(p))
    /\ IF LocksRow(p) /\ lock # Nobody
       THEN Enqueue(p) /\ UNCHANGED <<lock, at>>
       ELSE /\ lock' = IF LocksRow(p) THEN p ELSE lock
            /\ Goto(p, After(p, "lock", Snapshot(p)))
            /\ UNCHANGED queue
    /\ UNCHANGED <<row, attempts, now, wrote, answers, faults>>

Find(p) ==
    /\ Sends(p, "find")
    /\ LET seen == [sees[p] EXCEPT !.found = FindKey(p)]
       IN  See(p, seen) /\ Goto(p, After(p, "find", seen))
    /\ UNCHANGED <<row, attempts, now, lock, queue, wrote, answers, faults>>

\* A protocol that reads the clock elsewhere sends this statement too, and makes nothing of it.
ReadClock(p) ==
    /\ Sends(p, "clock")
    /\ LET seen == IF Clock = InTheLock /\ Requests(p) THEN sees[p] ELSE [sees[p] EXCEPT !.clock = now]
       IN  See(p, seen) /\ Goto(p, After(p, "clock", seen))
    /\ UNCHANGED <<row, attempts, now, lock, queue, wrote, answers, faults>>

\* The sweeper locks what it has found due, if it is still authorized, and passes over a row that is locked.
LockDue(p) ==
    /\ Sends(p, "lock")
    /\ Does(p) = "sweeps"
    /\ LET mine == row.state = "authorized" /\ (SweeperLocks => lock = Nobody)
           seen == [sees[p] EXCEPT !.row = IF mine THEN row ELSE NoPayment, !.granted = now]
       IN  /\ See(p, seen)
           /\ lock' = IF mine /\ SweeperLocks THEN p ELSE lock
    /\ Goto(p, "clock")
    /\ UNCHANGED <<row, attempts, now, queue, wrote, answers, faults>>

----------------------------------------------------------------------------
(* The answer, and statements that write. *)

Answer(p) ==
    IF ~Requests(p) THEN [outcome |-> "done", replayed |-> FALSE]
    ELSE IF sees[p].broken THEN [outcome |-> "internal_error", replayed |-> FALSE]
    ELSE LET done == Decision(p, sees[p]) IN [outcome |-> done.outcome, replayed |-> done.replayed]

Answered(p, answer) ==
    /\ answers' = [answers EXCEPT ![p] = Append(@, answer)]
    /\ Goto(p, First(p, Len(answers[p]) + 1))
    /\ See(p, NothingSeen)

\* A statement fails: the service rolls back, and answers that it failed.
Break(p) ==
    /\ See(p, [sees[p] EXCEPT !.broken = TRUE])
    /\ Goto(p, "rollback")
    /\ UNCHANGED wrote

DoUpdate(p) ==
    LET new == NewRow(p, sees[p])
    IN  IF new = NoPayment
        THEN Goto(p, After(p, "update", sees[p])) /\ UNCHANGED <<row, lock, sees, wrote, answers>>
        ELSE IF Constraints /\ <<row.state, new.state>> \notin LegalMoves
        THEN lock' = p /\ Break(p) /\ UNCHANGED <<row, answers>>
        ELSE IF MovesAfterCommit(p)
        THEN row' = new /\ Answered(p, Answer(p)) /\ UNCHANGED <<lock, wrote>>
        ELSE /\ lock' = p
             /\ wrote' = [wrote EXCEPT ![p].row = new]
             /\ Goto(p, After(p, "update", sees[p]))
             /\ UNCHANGED <<row, sees, answers>>

Update(p) ==
    /\ Sends(p, "update")
    /\ IF lock \in {Nobody, p}
       THEN DoUpdate(p) /\ UNCHANGED queue
       ELSE Enqueue(p) /\ UNCHANGED <<row, lock, at, sees, wrote, answers>>
    /\ UNCHANGED <<attempts, now, faults>>

DoInsert(p) ==
    LET new == NewAttempt(p, sees[p])
    IN  IF Constraints /\ \E a \in attempts : Conflict(a, new)
        THEN Break(p) /\ UNCHANGED attempts
        ELSE /\ IF KeyWithCapture
                THEN wrote' = [wrote EXCEPT ![p].attempt = new] /\ UNCHANGED attempts
                ELSE attempts' = attempts \cup {new} /\ UNCHANGED wrote \* committed by itself
             /\ Goto(p, After(p, "insert", sees[p]))
             /\ UNCHANGED sees

Insert(p) ==
    /\ Sends(p, "insert")
    /\ IF Contended(p)
       THEN Enqueue(p) /\ UNCHANGED <<attempts, at, sees, wrote>>
       ELSE DoInsert(p) /\ UNCHANGED queue
    /\ UNCHANGED <<row, now, lock, answers, faults>>

\* A statement that waited goes on.
Wake(p) ==
    /\ Waits(p)
    /\ MayGoOn(p)
    /\ EagerWake => \A i \in DOMAIN queue : MayGoOn(queue[i]) =>
                        \E j \in 1..i : queue[j] = p
    /\ queue' = Dequeued(p)
    /\ CASE at[p] = "lock" -> /\ lock' = p
                              /\ See(p, Reevaluated(p))
                              /\ Goto(p, After(p, "lock", Reevaluated(p)))
                              /\ UNCHANGED <<row, attempts, wrote, answers>>
         [] at[p] = "update" -> DoUpdate(p) /\ UNCHANGED attempts
         [] at[p] = "insert" -> DoInsert(p) /\ UNCHANGED <<row, lock, answers>>
    /\ UNCHANGED <<now, faults>>

----------------------------------------------------------------------------
(* The end of a transaction. *)

Stores(p) ==
    /\ row' = IF wrote[p].row = NoPayment THEN row ELSE wrote[p].row
    /\ attempts' = IF wrote[p].attempt = NoAttempt THEN attempts ELSE attempts \cup {wrote[p].attempt}

Commit(p) ==
    /\ Sends(p, "commit")
    /\ Stores(p)
    /\ Release(p)
    /\ wrote' = [wrote EXCEPT ![p] = NothingWritten]
    /\ IF MovesAfterCommit(p)
       THEN Goto(p, "update") /\ UNCHANGED <<sees, answers>>
       ELSE Answered(p, Answer(p))
    /\ UNCHANGED <<now, queue, faults>>

Rollback(p) ==
    /\ Sends(p, "rollback")
    /\ Release(p)
    /\ wrote' = [wrote EXCEPT ![p] = NothingWritten]
    /\ Answered(p, Answer(p))
    /\ UNCHANGED <<row, attempts, now, queue, faults>>

\* INSERT ... ON CONFLICT DO NOTHING, outside any transaction; if nothing was inserted, look next.
InsertPayment(p) ==
    /\ Sends(p, "create")
    /\ IF row = NoPayment
       THEN /\ row' = Pending(Command(p).amount)
            /\ Answered(p, [outcome |-> "created", replayed |-> FALSE])
       ELSE Goto(p, "look") /\ UNCHANGED <<row, sees, answers>>
    /\ UNCHANGED <<attempts, now, lock, queue, wrote, faults>>

\* The payment that was there.
LookAtIt(p) ==
    /\ Sends(p, "look")
    /\ Answered(p, [outcome |-> Decide(row, NoAttempt, Command(p), now).outcome, replayed |-> FALSE])
    /\ UNCHANGED <<row, attempts, now, lock, queue, wrote, faults>>

\* The sweeper finds what is due, outside any transaction; where nothing is, it is done.
FindDue(p) ==
    /\ Sends(p, "due")
    /\ IF row.state = "authorized" /\ ~WindowOpen(row, now)
       THEN Goto(p, "begin") /\ UNCHANGED <<sees, answers>>
       ELSE Answered(p, Answer(p))
    /\ UNCHANGED <<row, attempts, now, lock, queue, wrote, faults>>

\* One statement, outside any transaction; `as_of' is the time of the look.
Look(p) ==
    /\ Sends(p, "read")
    /\ Answered(p, [outcome |-> "read", replayed |-> FALSE, state |-> row.state, as_of |-> now])
    /\ UNCHANGED <<row, attempts, now, lock, queue, wrote, faults>>

\* The clock does not go back, unless it may.
Tick(p) ==
    /\ Sends(p, "tick")
    /\ now' = IF ClockStepsBack \/ Programs[p].to > now THEN Programs[p].to ELSE now
    /\ Answered(p, Answer(p))
    /\ UNCHANGED <<row, attempts, lock, queue, wrote, faults>>

----------------------------------------------------------------------------
(* What goes wrong.  A client that got no definite answer sends its command again, with its key. *)

UnderWay(p) == at[p] \notin {"begin", "done", "tick", "read", "create", "look", "due"}

\* Where it begins again.
Again(p) == IF Does(p) = "sweeps" /\ ~SweeperOutlives THEN "ended" ELSE First(p, Len(answers[p]))

\* The transaction ends with nothing done: the connection is cut before a statement or while it waits, the
\* service's process ends, a limit on waiting is reached, or the database takes it back (40001, 40P01).
Cut(p) ==
    /\ faults > 0
    /\ UnderWay(p)
    /\ ~Hurry
    /\ faults' = faults - 1
    /\ Release(p)
    /\ queue' = Dequeued(p)
    /\ wrote' = [wrote EXCEPT ![p] = NothingWritten]
    /\ Goto(p, Again(p))
    /\ See(p, NothingSeen)
    /\ UNCHANGED <<row, attempts, now, answers>>

\* The ambiguous commit: it is carried out, and its answer is lost.
LoseAnswer(p) ==
    /\ faults > 0
    /\ Sends(p, "commit")
    /\ faults' = faults - 1
    /\ Stores(p)
    /\ Release(p)
    /\ wrote' = [wrote EXCEPT ![p] = NothingWritten]
    /\ Goto(p, Again(p))
    /\ See(p, NothingSeen)
    /\ UNCHANGED <<now, queue, answers>>

\* The same of the one statement that creates a payment.
LoseCreation(p) ==
    /\ faults > 0
    /\ Sends(p, "create")
    /\ row = NoPayment
    /\ faults' = faults - 1
    /\ row' = Pending(Command(p).amount)
    /\ UNCHANGED <<attempts, now, lock, queue, at, sees, wrote, answers>>

AllBeginAgain ==
    /\ lock' = Nobody
    /\ queue' = <<>>
    /\ wrote' = [p \in Processes |-> NothingWritten]
    /\ at' = [p \in Processes |-> IF UnderWay(p) THEN Again(p) ELSE at[p]]
    /\ sees' = [p \in Processes |-> IF UnderWay(p) THEN NothingSeen ELSE sees[p]]

\* The database stops at once: what was committed stays, everything else is gone.
Crash ==
    /\ faults > 0
    /\ \E p \in Processes : UnderWay(p)
    /\ faults' = faults - 1
    /\ AllBeginAgain
    /\ UNCHANGED <<row, attempts, now, answers>>

----------------------------------------------------------------------------

Init ==
    /\ row = Prepared
    /\ attempts = {}
    /\ now = BeginsAt
    /\ lock = Nobody
    /\ queue = <<>>
    /\ at = [p \in Processes |-> First(p, 0)]
    /\ sees = [p \in Processes |-> NothingSeen]
    /\ wrote = [p \in Processes |-> NothingWritten]
    /\ answers = [p \in Processes |-> <<>>]
    /\ faults = MaxFaults

Statement(p) ==
    \/ Begin(p) \/ LockRow(p) \/ Find(p) \/ ReadClock(p) \/ FindDue(p) \/ LockDue(p)
    \/ Update(p) \/ Insert(p) \/ Commit(p) \/ Rollback(p) \/ InsertPayment(p) \/ LookAtIt(p) \/ Look(p) \/ Tick(p)

Runs(p) == Statement(p) \/ Wake(p)
Fault == Crash \/ \E p \in Processes : Cut(p) \/ LoseAnswer(p) \/ LoseCreation(p)
AllDone == \A p \in Processes : at[p] = "done"

\* At the end nothing happens any more; anything else that stops is a deadlock.
End == AllDone /\ UNCHANGED vars

Next == Fault \/ End \/ \E p \in Processes : Runs(p)

\* While any process can go on, one of them does; nothing has to go wrong.  No more fairness is needed than
\* this, because each process takes finitely many steps.
Spec == Init /\ [][Next]_vars /\ WF_vars(\E p \in Processes : Runs(p))

----------------------------------------------------------------------------
(* The invariants of specs/specification.md. *)

Successes == {a \in attempts : a.outcome = "captured"}

\* Every answer to a capture: who, which, the command, and the answer.
CaptureAnswers ==
    {c \in UNION {{[by |-> p, nth |-> i, command |-> Programs[p].commands[i], answer |-> answers[p][i]] :
                    i \in DOMAIN answers[p]} : p \in {q \in Processes : Requests(q)}} :
        c.command.f = "capture"}

Definite == {c \in CaptureAnswers : c.answer.outcome # "internal_error"}

TypeOK ==
    /\ row.state \in States \cup {"none"}
    /\ \A a \in attempts : a.outcome \in Recorded
    /\ lock \in Processes \cup {Nobody}
    /\ \A p \in Processes : Waits(p) => at[p] \in {"lock", "update", "insert"}
    /\ faults \in 0..MaxFaults

I1 == /\ Cardinality(Successes) <= 1
      /\ Cardinality({c \in Definite : c.answer.outcome = "captured" /\ ~c.answer.replayed}) <= 1
      /\ \A a \in Successes : a.amount = row.amount

I2 == [][row' # row => <<row.state, row'.state>> \in LegalMoves]_vars

I3 == /\ \A a, b \in attempts : a.key = b.key => a = b
      /\ \A c \in Definite : c.answer.outcome \in Recorded =>
            c.answer.outcome = Under(c.command.key, attempts).outcome

I4 == \A c \in Definite :
        LET known == Under(c.command.key, attempts)
        IN  known # NoAttempt => ((c.answer.outcome = "key_reused") <=> (known.amount # c.command.amount))

\* What is so of the instants that decide, even where the clock is set back.
I5OfDecisions ==
    /\ \A a \in Successes : a.decided_at < row.capture_expires_at
    /\ row.state = "failed" /\ row.reason = "expired" => row.failed_at >= row.capture_expires_at

\* `granted' is when the lock was granted: a later time than the protocol can have read before it.
I5 == I5OfDecisions /\ \A a \in Successes : a.granted < row.capture_expires_at

I6 == row.state = "captured" <=> Successes # {}

\* What is committed survives a crash.
I7 == \A c \in Definite : c.answer.outcome = "captured" =>
        row.state = "captured" /\ Under(c.command.key, attempts).outcome = "captured"

I8 == [][\A p \in Processes : at[p] = "read" /\ answers'[p] # answers[p] =>
            answers'[p][Len(answers'[p])].state = row.state]_vars

\* Contention alone causes no failure, and leaves nothing behind.  A deadlock, TLC finds by itself.
I9 == /\ \A p \in Processes, i \in 1..3 : i \in DOMAIN answers[p] => answers[p][i].outcome # "internal_error"
      /\ AllDone => lock = Nobody /\ queue = <<>>

\* Each transaction that ends is one step of the reference machine on what is committed, decided at an
\* instant between the grant of the lock and now; and so is its answer.  That is a linearization point.
\* Where there was no payment, nothing was locked, and the look was the point.
Linearized(p) ==
    IF sees[p].row = NoPayment
    THEN /\ stored' = stored
         /\ answers'[p] # answers[p] =>
                answers'[p][Len(answers'[p])] = [outcome |-> "not_found", replayed |-> FALSE]
    ELSE
    \E t \in sees[p].granted..now :
        LET key == IF IsCapture(p) THEN Under(Command(p).key, attempts) ELSE NoAttempt
            done == Decide(row, key, Command(p), t)
        IN  /\ row' = done.payment
            /\ attempts' = IF done.attempt = key THEN attempts
                           ELSE attempts \cup {[key |-> Command(p).key, amount |-> done.attempt.amount,
                                                outcome |-> done.attempt.outcome, decided_at |-> t,
                                                granted |-> sees[p].granted, by |-> p]}
            /\ answers'[p] # answers[p] =>
                    answers'[p][Len(answers'[p])] = [outcome |-> done.outcome, replayed |-> done.replayed]

I10 == [][\A p \in Processes :
            Requests(p) /\ at[p] = "commit" /\ at'[p] # "commit" /\ (stored' # stored \/ answers'[p] # answers[p])
                => Linearized(p)]_vars

I11 == [][row' # row => \A p \in Processes :
            Requests(p) /\ at[p] = "commit" /\ at'[p] # "commit" =>
                Decision(p, sees[p]).outcome \in {"authorized", "captured", "failed"}]_vars

\* Every request is eventually answered.  A process is done when all of its requests are, and stays so.
EveryRequestAnswered == <>AllDone

\* The same for weakened protocols, so that a counterexample is a whole run, which can be run again.
I1AtTheEnd == AllDone => I1
I3AtTheEnd == AllDone => I3
I5AtTheEnd == AllDone => I5
I6AtTheEnd == AllDone => I6
I9AtTheEnd == AllDone => I9
=============================================================================
