------------------------------- MODULE Races -------------------------------
(* The races that are checked: the scenarios of payments_verify, by their names there, and larger ones. *)
EXTENDS Capture

Price == 500 \* cents
Window == 2  \* instants: the window's beginning, the last instant inside it, its end

PendingPayment == Pending(Price)
AuthorizedPayment == Authorized(PendingPayment, Window, 0)

CaptureOf(key, amount) == [f |-> "capture", key |-> key, amount |-> amount]
Client(commands) == [does |-> "requests", commands |-> commands]
CaptureBy(key) == Client(<<CaptureOf(key, Price)>>)
Void == Client(<<[f |-> "fail", reason |-> "voided"]>>)
Authorizes == Client(<<[f |-> "authorize", window |-> Window]>>)
Creates(amount) == Client(<<[f |-> "create", amount |-> amount]>>)
Holds(leaving) == [does |-> "holds", leaving |-> leaving]
Sweeps == [does |-> "sweeps"]
Ticks(offset) == [does |-> "ticks", to |-> Window + offset]

\* Processes are numbered from 0, as in a schedule.
Race(programs) == [p \in 0..Len(programs) - 1 |-> programs[p + 1]]

SameKeyTwice == Race(<<CaptureBy("k1"), CaptureBy("k1")>>)
DifferentKeys == Race(<<CaptureBy("k1"), CaptureBy("k2")>>)
DifferentKeysAndTick == Race(<<CaptureBy("k1"), CaptureBy("k2"), Ticks(0)>>)
ThreeCaptures == Race(<<CaptureBy("k1"), CaptureBy("k2"), CaptureBy("k3")>>)
FourCaptures == Race(<<CaptureBy("k1"), CaptureBy("k2"), CaptureBy("k3"), CaptureBy("k4")>>)
SameKeyDifferentAmounts == Race(<<CaptureBy("k1"), Client(<<CaptureOf("k1", Price + 1)>>)>>)
CaptureAndVoid == Race(<<CaptureBy("k1"), Void>>)
CaptureAndSweep == Race(<<CaptureBy("k1"), Ticks(0), Sweeps>>)
AuthorizeTwice == Race(<<Authorizes, Authorizes>>)
WindowClosesBehindUpdate == Race(<<CaptureBy("k1"), Holds("voided"), Ticks(0)>>)
WindowClosesBehindLock == Race(<<CaptureBy("k1"), Holds("only locked"), Ticks(0)>>)
WindowClosesBehindRollback == Race(<<CaptureBy("k1"), Holds("rolled back"), Ticks(0)>>)
CaptureAndTicks == Race(<<CaptureBy("k1"), Ticks(-1), Ticks(0)>>)
ReadWhileCaptured == Race(<<CaptureBy("k1"), Client(<<[f |-> "read"], [f |-> "read"]>>), Ticks(0)>>)
CaptureDuringAuthorize == Race(<<Authorizes, CaptureBy("k1")>>)
RetryWhileUnderWay == Race(<<CaptureBy("k1"), Client(<<CaptureOf("k1", Price), CaptureOf("k1", Price)>>)>>)

CreateTwice == Race(<<Creates(Price), Creates(Price)>>)
CreateDifferent == Race(<<Creates(Price), Creates(Price + 1), Authorizes>>)
CaptureWhileCreated == Race(<<Creates(Price), Authorizes, CaptureBy("k1")>>)
TwoSweepers == Race(<<Sweeps, Sweeps>>)
ClockSetBack == Race(<<CaptureBy("k1"), Sweeps, Ticks(0), Ticks(-Window)>>)
SweepsAndTick == Race(<<Sweeps, Ticks(0), Sweeps>>)
ExpiryBehindLock == Race(<<Sweeps, Holds("only locked"), Ticks(0)>>)

\* More of it together.
Everything == Race(<<CaptureBy("k1"), CaptureBy("k1"), CaptureBy("k2"), Ticks(0)>>)
=============================================================================
