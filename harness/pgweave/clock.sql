-- A clock of the database's own, in the schema test_clock; see clock.py.
--
-- A change is the real instant at which it began and the reading from then on: twice the microseconds, plus one if
-- the clock flows. Frozen, the microseconds are the time since 1970-01-01 UTC; flowing, they are the offset from
-- the real clock.
--
-- The last eight changes are kept in sequences, because a sequence knows no snapshots: a statement that was blocked,
-- or a REPEATABLE READ transaction, sees a change at once, as it would with a real clock. A change is written to its
-- slot first and then published by one write to latest. All changes are kept in a table, for transactions that began
-- longer ago; what their snapshot shows suffices, for no transaction begins after its own snapshot.

CREATE SCHEMA test_clock;

CREATE SEQUENCE test_clock.latest AS bigint MINVALUE 0;

CREATE TABLE test_clock.changes (
    change_id bigint PRIMARY KEY,
    began_us  bigint NOT NULL,
    reading   bigint NOT NULL
);

DO $$
BEGIN
    FOR slot IN 0..7 LOOP
        EXECUTE format('CREATE SEQUENCE test_clock.began_%s AS bigint MINVALUE -9223372036854775808', slot);
        EXECUTE format('CREATE SEQUENCE test_clock.reading_%s AS bigint MINVALUE -9223372036854775808', slot);
    END LOOP;
END
$$;

CREATE FUNCTION test_clock.began_us(change_id bigint) RETURNS bigint
    LANGUAGE sql VOLATILE
    AS $$ SELECT pg_sequence_last_value(('test_clock.began_' || change_id % 8)::regclass) $$;

CREATE FUNCTION test_clock.reading(change_id bigint) RETURNS bigint
    LANGUAGE sql VOLATILE
    AS $$ SELECT pg_sequence_last_value(('test_clock.reading_' || change_id % 8)::regclass) $$;

CREATE FUNCTION test_clock.us(instant timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT (extract(epoch FROM instant) * 1000000)::bigint $$;

CREATE FUNCTION test_clock.shown(reading bigint, instant timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$ SELECT CASE WHEN reading & 1 = 1 THEN instant ELSE 'epoch'::timestamptz END
               + (reading >> 1) * interval '1 microsecond' $$;

CREATE FUNCTION test_clock.shown_at(instant timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    instant_us CONSTANT bigint := test_clock.us(instant);
    latest     CONSTANT bigint := pg_sequence_last_value('test_clock.latest'::regclass);
BEGIN
    FOR change_id IN REVERSE latest..greatest(latest - 7, 0) LOOP
        IF test_clock.began_us(change_id) <= instant_us THEN
            RETURN test_clock.shown(test_clock.reading(change_id), instant);
        END IF;
    END LOOP;
    RETURN (SELECT test_clock.shown(change.reading, instant) FROM test_clock.changes AS change
            WHERE change.began_us <= instant_us ORDER BY change.change_id DESC LIMIT 1);
END
$$;

CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz
    LANGUAGE sql VOLATILE
    AS $$ SELECT test_clock.shown(test_clock.reading(pg_sequence_last_value('test_clock.latest'::regclass)),
                                  pg_catalog.clock_timestamp()) $$;

CREATE FUNCTION test_clock.now() RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$ SELECT test_clock.shown_at(pg_catalog.now()) $$;

CREATE FUNCTION test_clock.transaction_timestamp() RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$ SELECT test_clock.shown_at(pg_catalog.transaction_timestamp()) $$;

CREATE FUNCTION test_clock.statement_timestamp() RETURNS timestamptz
    LANGUAGE sql STABLE
    AS $$ SELECT test_clock.shown_at(pg_catalog.statement_timestamp()) $$;

CREATE FUNCTION test_clock.get_us() RETURNS bigint
    LANGUAGE sql VOLATILE
    AS $$ SELECT test_clock.us(test_clock.clock_timestamp()) $$;

CREATE FUNCTION test_clock.change(new_reading bigint, is_relative boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    began_us bigint;
    latest   bigint;
    next_id  bigint;
BEGIN
    LOCK TABLE test_clock.changes IN EXCLUSIVE MODE;  -- changes take turns; readers do not wait
    latest := pg_sequence_last_value('test_clock.latest'::regclass);
    next_id := coalesce(latest + 1, 0);
    IF is_relative THEN
        new_reading := new_reading + test_clock.reading(latest);
    END IF;
    -- Before the first change there is no other time.
    began_us := CASE next_id WHEN 0 THEN -9223372036854775808 ELSE test_clock.us(pg_catalog.clock_timestamp()) END;
    INSERT INTO test_clock.changes VALUES (next_id, began_us, new_reading);
    PERFORM setval(('test_clock.began_' || next_id % 8)::regclass, began_us);
    PERFORM setval(('test_clock.reading_' || next_id % 8)::regclass, new_reading);
    PERFORM setval('test_clock.latest'::regclass, next_id);
    RETURN test_clock.get_us();
END
$$;

-- The first: flowing, without an offset.
SELECT test_clock.change(1, false);

CREATE FUNCTION test_clock.set_us(us bigint) RETURNS bigint
    LANGUAGE sql
    AS $$ SELECT test_clock.change(2 * us, false) $$;

CREATE FUNCTION test_clock.advance_us(us bigint) RETURNS bigint
    LANGUAGE sql
    AS $$ SELECT test_clock.change(2 * us, true) $$;

CREATE FUNCTION test_clock.flow_us(offset_us bigint) RETURNS bigint
    LANGUAGE sql
    AS $$ SELECT test_clock.change(2 * offset_us + 1, false) $$;

-- Everybody may read the time; only the owner may change it.
GRANT USAGE ON SCHEMA test_clock TO PUBLIC;
GRANT SELECT ON test_clock.changes TO PUBLIC;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA test_clock TO PUBLIC;
REVOKE EXECUTE ON FUNCTION test_clock.change(bigint, boolean), test_clock.set_us(bigint),
    test_clock.advance_us(bigint), test_clock.flow_us(bigint) FROM PUBLIC;
