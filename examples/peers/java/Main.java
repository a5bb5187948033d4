// A service that is not ours: charges, over the JDK's own HTTP server and pgjdbc, with a small pool of connections.
//
// One transaction decides a request: it locks the charge, looks up the answer that the token was given, asks the
// database for the time, and writes all of it. BUG leaves out the lock, or moves one of the others before it.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public class Main {
    static final String BUG = System.getenv().getOrDefault("BUG", "");
    static final String SCHEMA = """
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
        )""";
    static final Pattern ROUTE =
        Pattern.compile("/charges/([0-9a-f-]{36})(/authorization|/capture|/cancel)?");
    static final Pattern TOTAL = Pattern.compile("\\{\\s*\"total\"\\s*:\\s*\"(\\d{1,9}(\\.\\d{1,2})?)\"\\s*\\}");
    static final Pattern VALIDITY = Pattern.compile("\\{\\s*\"valid_for_ms\"\\s*:\\s*(\\d+)\\s*\\}");
    static final BlockingQueue<Connection> POOL = new ArrayBlockingQueue<>(8);

    record Answer(int status, String body, boolean again) {
        Answer(int status, String body) { this(status, body, false); }
    }

    record Charge(UUID id, BigDecimal total, String status, Instant validTill, BigDecimal paid) {
        String json() {
            return "{\"charge\":{\"id\":\"%s\",\"total\":\"%s\",\"status\":\"%s\",\"valid_till\":%s,\"paid\":%s}}"
                .formatted(id, total, status, quoted(validTill), quoted(paid));
        }
    }

    static class Refused extends Exception {
        final int status;

        Refused(int status, String code) { super(code); this.status = status; }
    }

    interface Work { Answer in(Connection connection) throws SQLException, Refused; }

    static String quoted(Object value) { return value == null ? "null" : "\"" + value + "\""; }

    static String error(String code) { return "{\"error\":\"" + code + "\"}"; }

    static Connection connect() throws SQLException {
        URI url = URI.create(System.getenv("DATABASE_URL"));
        String address = "jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath();
        String[] credentials = (url.getUserInfo() + ":").split(":", -1);
        Connection connection =
            DriverManager.getConnection(address + "?" + url.getRawQuery(), credentials[0], credentials[1]);
        connection.setAutoCommit(false);
        return connection;
    }

    /** Does work in a transaction; a connection on which it fails is rolled back, or replaced if it is lost. */
    static Answer transaction(Work work) throws SQLException, Refused, InterruptedException {
        Connection connection = POOL.take();
        try {
            if (connection.isClosed()) connection = connect();
            Answer answer = work.in(connection);
            connection.commit();
            return answer;
        } catch (SQLException | Refused failed) {
            try {
                connection.rollback();
            } catch (SQLException lost) {
                connection.close();
            }
            throw failed;
        } finally {
            POOL.put(connection);
        }
    }

    static PreparedStatement prepared(Connection connection, String sql, Object... values) throws SQLException {
        PreparedStatement statement = connection.prepareStatement(sql);
        for (int index = 0; index < values.length; index++) statement.setObject(index + 1, values[index]);
        return statement;
    }

    static Charge charge(Connection connection, String sql, Object... values) throws SQLException, Refused {
        try (PreparedStatement statement = prepared(connection, sql, values); ResultSet row = statement.executeQuery()) {
            if (!row.next()) throw new Refused(404, "no_such_charge");
            OffsetDateTime till = row.getObject("valid_till", OffsetDateTime.class);
            return new Charge(row.getObject("id", UUID.class), row.getBigDecimal("total"), row.getString("status"),
                till == null ? null : till.toInstant(), row.getBigDecimal("paid"));
        }
    }

    static Charge locked(Connection connection, UUID id) throws SQLException, Refused {
        return charge(connection, "SELECT * FROM charge WHERE id = ?" + (BUG.equals("no-lock") ? "" : " FOR UPDATE"), id);
    }

    static Instant now(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement();
             ResultSet row = statement.executeQuery("SELECT clock_timestamp()")) {
            row.next();
            return row.getObject(1, OffsetDateTime.class).toInstant();
        }
    }

    static BigDecimal total(String body) throws Refused {
        Matcher found = TOTAL.matcher(body);
        if (!found.matches() || new BigDecimal(found.group(1)).signum() == 0) throw new Refused(400, "bad_amount");
        return new BigDecimal(found.group(1));
    }

    static Answer change(UUID id, String from, String to, Duration valid) throws Exception {
        return transaction(connection -> {
            Charge charge = locked(connection, id);
            if (!charge.status.equals(from)) throw new Refused(409, "is_" + charge.status);
            Instant till = valid == null ? charge.validTill : now(connection).plus(valid);
            String sql = "UPDATE charge SET status = ?, valid_till = ? WHERE id = ? RETURNING *";
            return new Answer(200, charge(connection, sql, to, Timestamp.from(till), id).json());
        });
    }

    static Answer authorize(UUID id, String body) throws Exception {
        Matcher found = VALIDITY.matcher(body);
        if (!found.matches()) throw new Refused(400, "bad_request");
        return change(id, "new", "authorized", Duration.ofMillis(Long.parseLong(found.group(1))));
    }

    static Answer capture(UUID id, String token, BigDecimal total) throws Exception {
        return transaction(connection -> {
            Instant early = BUG.equals("clock-before-lock") ? now(connection) : null;
            Answer known = BUG.equals("key-before-lock") ? lookUp(connection, id, token, total) : null;
            Charge charge = locked(connection, id);
            if (!BUG.equals("key-before-lock")) known = lookUp(connection, id, token, total);
            if (known != null) return known;
            Answer answer = decide(connection, charge, total, early == null ? now(connection) : early);
            String sql = "INSERT INTO capture_request VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
            try (var statement = prepared(connection, sql, id, token, total, answer.status, answer.body)) {
                statement.executeUpdate();
            }
            return answer;
        });
    }

    static Answer lookUp(Connection connection, UUID id, String token, BigDecimal total) throws SQLException, Refused {
        String sql = "SELECT total, status, answer FROM capture_request WHERE charge_id = ? AND token = ?";
        try (PreparedStatement statement = prepared(connection, sql, id, token); ResultSet row = statement.executeQuery()) {
            if (!row.next()) return null;
            if (row.getBigDecimal(1).compareTo(total) != 0) throw new Refused(422, "token_was_used");
            return new Answer(row.getInt(2), row.getString(3), true);
        }
    }

    static Answer decide(Connection connection, Charge charge, BigDecimal total, Instant now) throws SQLException {
        if (!charge.status.equals("authorized")) return new Answer(409, error("is_" + charge.status));
        if (!now.isBefore(charge.validTill)) return new Answer(409, error("too_late"));
        if (total.compareTo(charge.total) != 0) return new Answer(409, error("another_total"));
        String sql = "UPDATE charge SET status = 'paid', paid = ? WHERE id = ?";
        try (PreparedStatement statement = prepared(connection, sql, total, charge.id)) {
            statement.executeUpdate();
        }
        return new Answer(200, "{\"status\":\"paid\"}");
    }

    /** Expires what is due, as a queue of which several may take; what somebody holds is left for the next time. */
    static Answer expire() throws Exception {
        String due = "SELECT id FROM charge WHERE status = 'authorized' AND valid_till <= clock_timestamp()"
            + " ORDER BY id FOR UPDATE SKIP LOCKED";
        return transaction(connection -> {
            try (PreparedStatement select = connection.prepareStatement(due);
                 PreparedStatement update = connection.prepareStatement("UPDATE charge SET status = 'cancelled' WHERE id = ?");
                 ResultSet rows = select.executeQuery()) {
                while (rows.next()) {
                    update.setObject(1, rows.getObject(1, UUID.class));
                    update.addBatch();
                }
                update.executeBatch();
            }
            return new Answer(204, "");
        });
    }

    static Answer answer(HttpExchange exchange) throws Exception {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        String path = exchange.getRequestURI().getPath();
        Matcher route = ROUTE.matcher(path);
        UUID id = route.matches() ? UUID.fromString(route.group(1)) : null;
        String rest = id == null ? path : route.group(2) == null ? "" : route.group(2);
        switch (exchange.getRequestMethod() + " " + rest) {
            case "POST /charges":
                BigDecimal total = total(body);
                String insert = "INSERT INTO charge (total) VALUES (?) RETURNING *";
                return transaction(connection -> new Answer(201, charge(connection, insert, total).json()));
            case "GET ":
                String select = "SELECT * FROM charge WHERE id = ?";
                return transaction(connection -> new Answer(200, charge(connection, select, id).json()));
            case "POST /authorization": return authorize(id, body);
            case "POST /capture":
                return capture(id, exchange.getRequestHeaders().getFirst("X-Request-Token"), total(body));
            case "POST /cancel": return change(id, "authorized", "cancelled", null);
            case "POST /jobs/expire": return expire();
            default: throw new Refused(404, "no_such_route");
        }
    }

    static void serve(HttpExchange exchange) throws IOException {
        Answer answer;
        try {
            answer = answer(exchange);
        } catch (Refused refused) {
            answer = new Answer(refused.status, error(refused.getMessage()));
        } catch (Exception failed) {
            System.err.println(failed);
            answer = new Answer(500, error("internal"));
        }
        byte[] body = answer.body.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        if (answer.again) exchange.getResponseHeaders().set("X-Again", "yes");
        exchange.sendResponseHeaders(answer.status, body.length == 0 ? -1 : body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    public static void main(String[] arguments) throws Exception {
        for (int number = 0; number < 8; number++) POOL.put(connect());
        transaction(connection -> {
            try (Statement statement = connection.createStatement()) {
                statement.execute(SCHEMA);
            }
            return null;
        });
        InetSocketAddress address = new InetSocketAddress(System.getenv("HOST"), Integer.parseInt(System.getenv("PORT")));
        HttpServer server = HttpServer.create(address, 0);
        server.createContext("/", Main::serve);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
