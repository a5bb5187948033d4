------------------------------- MODULE Rules -------------------------------
(***************************************************************************)
(* What is right, for one command at one instant: the rule of              *)
(* payments_model, written a second time.  Pure operators, no variables.   *)
(*                                                                         *)
(* A payment is a record with a field `state' and exactly the fields that  *)
(* this state has; an attempt is what is stored under a key.  The names of *)
(* fields and outcomes are those of the Python model.                      *)
(***************************************************************************)
EXTENDS Integers

CONSTANTS MinAmount, MaxAmount, MaxWindow

NoPayment == [state |-> "none"]
NoAttempt == [outcome |-> "none"]

States == {"pending", "authorized", "captured", "failed"}
Terminal == {"captured", "failed"}

\* I2: every move that a payment may make; it begins as pending.
LegalMoves == { <<"none", "pending">>,
                <<"pending", "authorized">>,
                <<"authorized", "captured">>,
                <<"authorized", "failed">> }

\* The outcomes of a capture that are stored under its key.
Recorded == {"captured", "not_authorized", "already_captured", "payment_failed",
             "window_expired", "amount_mismatch"}

----------------------------------------------------------------------------
(* The shapes of a payment. *)

Pending(amount) == [state |-> "pending", amount |-> amount]

Authorized(payment, window, t) ==
    [state |-> "authorized", amount |-> payment.amount,
     authorized_at |-> t, capture_expires_at |-> t + window]

Captured(payment, amount, t) ==
    [state |-> "captured", amount |-> payment.amount,
     authorized_at |-> payment.authorized_at, capture_expires_at |-> payment.capture_expires_at,
     captured_at |-> t, captured_amount |-> amount]

Failed(payment, reason, t) ==
    [state |-> "failed", amount |-> payment.amount,
     authorized_at |-> payment.authorized_at, capture_expires_at |-> payment.capture_expires_at,
     failed_at |-> t, reason |-> reason]

Attempt(amount, outcome, t) == [amount |-> amount, outcome |-> outcome, decided_at |-> t]

AmountOk(amount) == amount \in MinAmount..MaxAmount
WindowOpen(payment, t) == t < payment.capture_expires_at

----------------------------------------------------------------------------
(* A step: what is stored afterwards, and the answer. *)

Step(payment, attempt, outcome) ==
    [payment |-> payment, attempt |-> attempt, outcome |-> outcome, replayed |-> FALSE]

Replay(payment, attempt) ==
    [payment |-> payment, attempt |-> attempt, outcome |-> attempt.outcome, replayed |-> TRUE]

\* Why a command that is not for this payment's state is refused.
Refusal(payment) ==
    CASE payment.state = "pending"    -> "not_authorized"
      [] payment.state = "authorized" -> "already_authorized"
      [] payment.state = "captured"   -> "already_captured"
      [] payment.state = "failed"     -> "payment_failed"

Create(payment, attempt, amount) ==
    IF ~AmountOk(amount) THEN Step(payment, attempt, "malformed")
    ELSE IF payment = NoPayment THEN Step(Pending(amount), attempt, "created")
    ELSE Step(payment, attempt, IF payment.amount = amount THEN "exists" ELSE "id_conflict")

Authorize(payment, attempt, window, t) ==
    IF window \notin 1..MaxWindow THEN Step(payment, attempt, "malformed")
    ELSE IF payment = NoPayment THEN Step(payment, attempt, "not_found")
    ELSE IF payment.state # "pending" THEN Step(payment, attempt, Refusal(payment))
    ELSE Step(Authorized(payment, window, t), attempt, "authorized")

\* The outcome of a capture under a new key.
CaptureOutcome(payment, amount, t) ==
    IF payment.state # "authorized" THEN Refusal(payment)
    ELSE IF ~WindowOpen(payment, t) THEN "window_expired"
    ELSE IF amount # payment.amount THEN "amount_mismatch"
    ELSE "captured"

\* The order of the lines is the order of precedence.
Capture(payment, attempt, amount, t) ==
    IF ~AmountOk(amount) THEN Step(payment, attempt, "malformed")
    ELSE IF payment = NoPayment THEN Step(payment, NoAttempt, "not_found")
    ELSE IF attempt # NoAttempt
         THEN IF attempt.amount = amount THEN Replay(payment, attempt)
              ELSE Step(payment, attempt, "key_reused")
    ELSE LET outcome == CaptureOutcome(payment, amount, t)
         IN  Step(IF outcome = "captured" THEN Captured(payment, amount, t) ELSE payment,
                  Attempt(amount, outcome, t), outcome)

Fail(payment, attempt, reason, t) ==
    IF reason = "expired" THEN Step(payment, attempt, "malformed")
    ELSE IF payment = NoPayment THEN Step(payment, attempt, "not_found")
    ELSE IF payment.state # "authorized" THEN Step(payment, attempt, Refusal(payment))
    ELSE Step(Failed(payment, reason, t), attempt, "failed")

Expire(payment, attempt, t) ==
    IF payment = NoPayment THEN Step(payment, attempt, "not_found")
    ELSE IF payment.state # "authorized" THEN Step(payment, attempt, Refusal(payment))
    ELSE IF WindowOpen(payment, t) THEN Step(payment, attempt, "window_open")
    ELSE Step(Failed(payment, "expired", t), attempt, "expired")

Read(payment, attempt) ==
    Step(payment, attempt, IF payment = NoPayment THEN "not_found" ELSE "read")

\* One command at the instant t; `attempt' is what is stored under its key, if it has one.
Decide(payment, attempt, command, t) ==
    CASE command.f = "create"    -> Create(payment, attempt, command.amount)
      [] command.f = "authorize" -> Authorize(payment, attempt, command.window, t)
      [] command.f = "capture"   -> Capture(payment, attempt, command.amount, t)
      [] command.f = "fail"      -> Fail(payment, attempt, command.reason, t)
      [] command.f = "expire"    -> Expire(payment, attempt, t)
      [] command.f = "read"      -> Read(payment, attempt)
=============================================================================
