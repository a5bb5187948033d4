<?php
declare(strict_types=1);
// A service that is not ours: charges, over PHP's own web server and PDO with persistent connections.
//
// One transaction decides a request: it locks the charge, looks up the answer that the token was given, asks the
// database for the time, and writes all of it. BUG leaves out the lock, or moves one of the others before it.

final class Refused extends Exception
{
}

function database(): PDO
{
    static $database = null;
    if ($database === null) {
        $url = parse_url(getenv('DATABASE_URL'));
        $source = "pgsql:host={$url['host']};port={$url['port']};dbname=" . ltrim($url['path'], '/');
        $database = new PDO($source, urldecode($url['user']), urldecode($url['pass'] ?? ''), [
            PDO::ATTR_PERSISTENT => true,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
        ]);
    }
    return $database;
}

function query(string $sql, array $values = []): PDOStatement
{
    $statement = database()->prepare($sql);
    $statement->execute($values);
    return $statement;
}

function transaction(Closure $work): array
{
    database()->beginTransaction();
    try {
        $answer = $work();
        database()->commit();
        return $answer;
    } catch (Throwable $error) {
        if (database()->inTransaction()) {
            database()->rollBack();
        }
        throw $error;
    }
}

function has_bug(string $name): bool
{
    return getenv('BUG') === $name;
}

function body_member(string $name): mixed
{
    $body = json_decode(file_get_contents('php://input'), true);
    return is_array($body) && array_keys($body) === [$name] ? $body[$name] : throw new Refused('bad_request', 400);
}

function total(): string
{
    $total = body_member('total');
    if (!is_string($total) || !preg_match('/\A\d{1,9}(\.\d{1,2})?\z/', $total) || (float) $total <= 0) {
        throw new Refused('bad_amount', 400);
    }
    [$whole, $hundredths] = explode('.', "$total.");
    return (int) $whole . '.' . str_pad($hundredths, 2, '0');
}

function found(array|false $charge): array
{
    return $charge ?: throw new Refused('no_such_charge', 404);
}

function find(string $id, string $lock = ''): array
{
    return found(query("SELECT id, total, status, valid_till, paid FROM charge WHERE id = ? $lock", [$id])->fetch());
}

function lock(string $id): array
{
    return find($id, has_bug('no-lock') ? '' : 'FOR UPDATE');
}

function now(): DateTimeImmutable
{
    return new DateTimeImmutable(query('SELECT clock_timestamp()')->fetchColumn());
}

function shown(array $charge): string
{
    if ($charge['valid_till'] !== null) {
        $charge['valid_till'] = (new DateTimeImmutable($charge['valid_till']))->format('Y-m-d\TH:i:s.uP');
    }
    return json_encode(['charge' => $charge]);
}

function create(): array
{
    $created = query('INSERT INTO charge (total) VALUES (?) RETURNING id, total, status, valid_till, paid', [total()]);
    return [201, shown($created->fetch())];
}

function authorize(string $id): array
{
    $valid_for = body_member('valid_for_ms');
    return transaction(function () use ($id, $valid_for) {
        require_status(lock($id), 'new');
        query(
            "UPDATE charge SET status = 'authorized',
             valid_till = clock_timestamp() + ? * interval '1 millisecond' WHERE id = ?",
            [$valid_for, $id],
        );
        return [200, shown(find($id))];
    });
}

function cancel(string $id): array
{
    return transaction(function () use ($id) {
        require_status(lock($id), 'authorized');
        query("UPDATE charge SET status = 'cancelled' WHERE id = ?", [$id]);
        return [200, shown(find($id))];
    });
}

function require_status(array $charge, string $status): void
{
    if ($charge['status'] !== $status) {
        throw new Refused("is_{$charge['status']}", 409);
    }
}

function stored_answer(string $id, string $token): array|false
{
    $sql = 'SELECT total, status, answer FROM capture_request WHERE charge_id = ? AND token = ?';
    return query($sql, [$id, $token])->fetch();
}

function capture(string $id): array
{
    [$total, $token] = [total(), $_SERVER['HTTP_X_REQUEST_TOKEN']];
    return transaction(function () use ($id, $total, $token) {
        $now = has_bug('clock-before-lock') ? now() : null;
        $stored = has_bug('key-before-lock') ? stored_answer($id, $token) : false;
        $charge = lock($id);
        $stored = has_bug('key-before-lock') ? $stored : stored_answer($id, $token);
        if ($stored) {
            return $stored['total'] === $total
                ? [$stored['status'], $stored['answer'], ['X-Again: yes']]
                : throw new Refused('token_was_used', 422);
        }
        $error = refusal($charge, $total, $now ?? now());
        $error ?? query("UPDATE charge SET status = 'paid', paid = ? WHERE id = ?", [$total, $id]);
        $status = $error ? 409 : 200;
        $answer = json_encode($error ? ['error' => $error] : ['status' => 'paid']);
        query(
            'INSERT INTO capture_request (charge_id, token, total, status, answer)
             VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
            [$id, $token, $total, $status, $answer],
        );
        return [$status, $answer];
    });
}

function refusal(array $charge, string $total, DateTimeImmutable $now): ?string
{
    return match (true) {
        $charge['status'] !== 'authorized' => "is_{$charge['status']}",
        $now >= new DateTimeImmutable($charge['valid_till']) => 'too_late',
        $total !== $charge['total'] => 'another_total',
        default => null,
    };
}

function expire(): array
{
    query("UPDATE charge SET status = 'cancelled' WHERE status = 'authorized' AND valid_till <= clock_timestamp()");
    return [204, ''];
}

function answer(string $request): array
{
    return match (true) {
        $request === 'POST /charges' => create(),
        $request === 'POST /jobs/expire' => expire(),
        !preg_match('#\A(\w+) /charges/([0-9a-f-]{36})(?:/(\w+))?\z#', $request, $part)
            => throw new Refused('no_such_route', 404),
        default => match ("$part[1] " . ($part[3] ?? '')) {
            'GET ' => [200, shown(find($part[2]))],
            'POST authorization' => authorize($part[2]),
            'POST capture' => capture($part[2]),
            'POST cancel' => cancel($part[2]),
            default => throw new Refused('no_such_route', 404),
        },
    };
}

if (PHP_SAPI === 'cli') {
    database()->exec(file_get_contents(__DIR__ . '/schema.sql'));
    exit;
}

try {
    [$status, $body, $headers] = [...answer("$_SERVER[REQUEST_METHOD] $_SERVER[REQUEST_URI]"), []];
} catch (Refused $refused) {
    [$status, $body, $headers] = [$refused->getCode(), json_encode(['error' => $refused->getMessage()]), []];
} catch (PDOException $error) {
    error_log($error->getMessage());
    [$status, $body, $headers] = [500, json_encode(['error' => 'database']), []];
}
http_response_code($status);
array_map(header(...), ['Content-Type: application/json', ...$headers]);
echo $body;
