------------------------------ MODULE Recorded ------------------------------
(***************************************************************************)
(* Whether runs of a real service are behaviours of Capture: trace         *)
(* validation.  A recorded run is a sequence of events, each a statement   *)
(* of one process or a waiting statement that went on; the next step must  *)
(* be that event, and have the effects that were seen.                     *)
(*                                                                         *)
(* Every event that is explained is printed.  A run is accepted if its     *)
(* last one is.                                                            *)
(*                                                                         *)
(* The method is that of H. Cirstea, M. A. Kuppe, B. Loillier, S. Merz:    *)
(* Validating Traces of Distributed Programs Against TLA+ Specifications   *)
(* (SEFM 2024).                                                            *)
(***************************************************************************)
EXTENDS Races, TLC

CONSTANT Executions \* the recorded runs: a sequence of sequences of events

VARIABLES run,    \* which one is followed
          events, \* its events; kept here, so that TLC evaluates the sequence of all of them once
          done    \* how many of them are explained

Event == events[done + 1]

\* What could not be seen, as the rows of a statement that had to wait, is -1; nor is it seen whether that failed.
\* A look-up always has a row, with the number of the last event; what it found, the answer shows.
Rows(p) ==
    CASE Event.statement = "lock" -> IF sees'[p].row = NoPayment THEN 0 ELSE 1
      [] Event.statement = "due" -> IF at'[p] = "begin" THEN 1 ELSE 0
      [] Event.statement = "update" -> IF wrote'[p].row = NoPayment THEN 0 ELSE 1
      [] OTHER -> -1

\* The effects of the step are those that were seen.
Fits(p) ==
    /\ Event.waits <=> \E i \in DOMAIN queue' : queue'[i] = p
    /\ Event.statement # "wake" => (Event.failed <=> (sees'[p].broken /\ ~sees[p].broken))
    /\ ~Event.failed /\ Event.rows # -1 /\ Rows(p) # -1 => Event.rows = Rows(p)
    /\ (answers'[p] # answers[p]) <=> Event.answers
    /\ Event.answers => \A part \in DOMAIN Event.answer :
                            answers'[p][Len(answers'[p])][part] = Event.answer[part]

Explain ==
    LET p == Event.process
    IN  /\ IF Event.statement = "wake" THEN Wake(p)
           ELSE at[p] = Event.statement /\ ~Waits(p) /\ Statement(p)
        /\ Fits(p)
        /\ PrintT(ToString(<<run, done + 1>>))

RecordedInit ==
    /\ Init
    /\ \E all \in {Executions} : run \in DOMAIN all /\ events = all[run]
    /\ done = 0

RecordedNext ==
    /\ done < Len(events)
    /\ Explain
    /\ done' = done + 1
    /\ UNCHANGED <<run, events>>

RecordedSpec == RecordedInit /\ [][RecordedNext]_<<vars, run, events, done>>
=============================================================================
