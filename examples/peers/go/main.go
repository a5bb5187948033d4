// A service that is not ours: charges, over net/http and database/sql, with lib/pq or, if DRIVER says so, with pgx.
//
// One transaction decides a request: it locks the charge, looks up the answer that the token was given, asks the
// database for the time, and writes all of it. BUG leaves out the lock, or moves one of the others before it.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v4/stdlib"
	_ "github.com/lib/pq"
)

const schema = `
CREATE TABLE IF NOT EXISTS charge (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    total      numeric(14, 2) NOT NULL,
    status     text NOT NULL DEFAULT 'new',
    valid_till timestamptz,
    paid       numeric(14, 2)
);
CREATE TABLE IF NOT EXISTS capture_request (
    charge_id uuid NOT NULL REFERENCES charge,
    token     text NOT NULL,
    total     numeric(14, 2) NOT NULL,
    status    int NOT NULL,
    answer    text NOT NULL,
    PRIMARY KEY (charge_id, token)
);`

const columns = "id, total, status, valid_till, paid"

var (
	bug    = os.Getenv("BUG")
	db     *sql.DB
	amount = regexp.MustCompile(`^[0-9]{1,9}(\.[0-9]{1,2})?$`)
	route  = regexp.MustCompile(`^/charges/([0-9a-f-]{36})(/authorization|/capture|/cancel)?$`)
)

type charge struct {
	ID        string     `json:"id"`
	Total     string     `json:"total"`
	Status    string     `json:"status"`
	ValidTill *time.Time `json:"valid_till"`
	Paid      *string    `json:"paid"`
}

type refusal struct {
	status int
	code   string
}

func (r refusal) Error() string { return r.code }

type answer struct {
	status int
	body   []byte
	again  bool
}

func scan(row *sql.Row) (c charge, err error) {
	err = row.Scan(&c.ID, &c.Total, &c.Status, &c.ValidTill, &c.Paid)
	if errors.Is(err, sql.ErrNoRows) {
		err = refusal{404, "no_such_charge"}
	}
	return c, err
}

func lock(ctx context.Context, tx *sql.Tx, id string) (charge, error) {
	query := "SELECT " + columns + " FROM charge WHERE id = $1"
	if bug != "no-lock" {
		query += " FOR UPDATE"
	}
	return scan(tx.QueryRowContext(ctx, query, id))
}

func now(ctx context.Context, tx *sql.Tx) (instant time.Time, err error) {
	err = tx.QueryRowContext(ctx, "SELECT clock_timestamp()").Scan(&instant)
	return instant, err
}

func transaction(ctx context.Context, work func(*sql.Tx) (answer, error)) (answer, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return answer{}, err
	}
	defer tx.Rollback() // of no effect after the commit
	result, err := work(tx)
	if err != nil {
		return answer{}, err
	}
	return result, tx.Commit()
}

func asJSON(status int, content any) answer {
	body, _ := json.Marshal(content)
	return answer{status: status, body: body}
}

func shown(status int, c charge) answer { return asJSON(status, map[string]charge{"charge": c}) }

func totalOf(r *http.Request) (string, error) {
	var body struct{ Total any }
	err := json.NewDecoder(r.Body).Decode(&body)
	written, _ := body.Total.(string)
	if err != nil || !amount.MatchString(written) || strings.Trim(written, "0.") == "" {
		return "", refusal{400, "bad_amount"}
	}
	return written, nil
}

func create(r *http.Request) (answer, error) {
	total, err := totalOf(r)
	if err != nil {
		return answer{}, err
	}
	row := db.QueryRowContext(r.Context(), "INSERT INTO charge (total) VALUES ($1) RETURNING "+columns, total)
	made, err := scan(row)
	return shown(201, made), err
}

func read(r *http.Request, id string) (answer, error) {
	found, err := scan(db.QueryRowContext(r.Context(), "SELECT "+columns+" FROM charge WHERE id = $1", id))
	return shown(200, found), err
}

// change moves a charge from one status to another, and sets how long it is valid if that is given.
func change(r *http.Request, id, from, to string, valid *time.Duration) (answer, error) {
	ctx := r.Context()
	return transaction(ctx, func(tx *sql.Tx) (answer, error) {
		c, err := lock(ctx, tx, id)
		if err != nil {
			return answer{}, err
		}
		if c.Status != from {
			return answer{}, refusal{409, "is_" + c.Status}
		}
		if valid != nil {
			instant, err := now(ctx, tx)
			if err != nil {
				return answer{}, err
			}
			till := instant.Add(*valid)
			c.ValidTill = &till
		}
		query := "UPDATE charge SET status = $2, valid_till = $3 WHERE id = $1 RETURNING " + columns
		c, err = scan(tx.QueryRowContext(ctx, query, id, to, c.ValidTill))
		return shown(200, c), err
	})
}

func authorize(r *http.Request, id string) (answer, error) {
	var body struct {
		ValidForMs int64 `json:"valid_for_ms"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return answer{}, refusal{400, "bad_request"}
	}
	valid := time.Duration(body.ValidForMs) * time.Millisecond
	return change(r, id, "new", "authorized", &valid)
}

func capture(r *http.Request, id string) (answer, error) {
	ctx, token := r.Context(), r.Header.Get("X-Request-Token")
	total, err := totalOf(r)
	if err != nil {
		return answer{}, err
	}
	return transaction(ctx, func(tx *sql.Tx) (answer, error) {
		var instant time.Time
		var known *answer
		var err error
		if bug == "clock-before-lock" {
			if instant, err = now(ctx, tx); err != nil {
				return answer{}, err
			}
		}
		if bug == "key-before-lock" {
			if known, err = lookUp(ctx, tx, id, token, total); err != nil {
				return answer{}, err
			}
		}
		c, err := lock(ctx, tx, id)
		if err != nil {
			return answer{}, err
		}
		if bug != "key-before-lock" {
			known, err = lookUp(ctx, tx, id, token, total)
		}
		if err != nil || known != nil {
			return deref(known), err
		}
		if bug != "clock-before-lock" {
			if instant, err = now(ctx, tx); err != nil {
				return answer{}, err
			}
		}
		return decide(ctx, tx, c, token, total, instant)
	})
}

func deref(a *answer) answer {
	if a == nil {
		return answer{}
	}
	return *a
}

// lookUp finds the answer that the token was given.
func lookUp(ctx context.Context, tx *sql.Tx, id, token, total string) (*answer, error) {
	var earlier, body string
	var status int
	query := "SELECT total, status, answer FROM capture_request WHERE charge_id = $1 AND token = $2"
	err := tx.QueryRowContext(ctx, query, id, token).Scan(&earlier, &status, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil && !equal(earlier, total) {
		err = refusal{422, "token_was_used"}
	}
	return &answer{status, []byte(body), true}, err
}

func equal(one, other string) bool {
	a, _ := new(big.Rat).SetString(one)
	b, _ := new(big.Rat).SetString(other)
	return a.Cmp(b) == 0
}

func decide(ctx context.Context, tx *sql.Tx, c charge, token, total string, instant time.Time) (answer, error) {
	result := asJSON(200, map[string]string{"status": "paid"})
	switch {
	case c.Status != "authorized":
		result = asJSON(409, map[string]string{"error": "is_" + c.Status})
	case !instant.Before(*c.ValidTill):
		result = asJSON(409, map[string]string{"error": "too_late"})
	case !equal(total, c.Total):
		result = asJSON(409, map[string]string{"error": "another_total"})
	default:
		_, err := tx.ExecContext(ctx, "UPDATE charge SET status = 'paid', paid = $2 WHERE id = $1", c.ID, total)
		if err != nil {
			return answer{}, err
		}
	}
	_, err := tx.ExecContext(ctx,
		"INSERT INTO capture_request VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		c.ID, token, total, result.status, string(result.body))
	return result, err
}

func expire(r *http.Request) (answer, error) {
	_, err := db.ExecContext(r.Context(),
		"UPDATE charge SET status = 'cancelled' WHERE status = 'authorized' AND valid_till <= clock_timestamp()")
	return answer{status: 204}, err
}

func dispatch(r *http.Request) (answer, error) {
	parts := route.FindStringSubmatch(r.URL.Path)
	switch {
	case r.Method == "POST" && r.URL.Path == "/charges":
		return create(r)
	case r.Method == "POST" && r.URL.Path == "/jobs/expire":
		return expire(r)
	case parts == nil:
		return answer{}, refusal{404, "no_such_route"}
	}
	switch r.Method + " " + parts[2] {
	case "GET ":
		return read(r, parts[1])
	case "POST /authorization":
		return authorize(r, parts[1])
	case "POST /capture":
		return capture(r, parts[1])
	case "POST /cancel":
		return change(r, parts[1], "authorized", "cancelled", nil)
	}
	return answer{}, refusal{405, "no_such_method"}
}

func serve(w http.ResponseWriter, r *http.Request) {
	found, err := dispatch(r)
	var refused refusal
	if errors.As(err, &refused) {
		found = asJSON(refused.status, map[string]string{"error": refused.code})
	} else if err != nil {
		log.Print(err)
		found = asJSON(500, map[string]string{"error": "internal"})
	}
	w.Header().Set("Content-Type", "application/json")
	if found.again {
		w.Header().Set("X-Again", "yes")
	}
	w.WriteHeader(found.status)
	w.Write(found.body)
}

func main() {
	driver := os.Getenv("DRIVER")
	if driver == "" {
		driver = "postgres" // lib/pq's name
	}
	var err error
	if db, err = sql.Open(driver, os.Getenv("DATABASE_URL")); err != nil {
		log.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	if _, err = db.Exec(schema); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(fmt.Sprintf("%s:%s", os.Getenv("HOST"), os.Getenv("PORT")), http.HandlerFunc(serve)))
}
