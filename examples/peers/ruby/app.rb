# A service that is not ours: charges, over WEBrick and Sequel's datasets.
#
# One transaction decides a request: it locks the charge, looks up the answer that the token was given, asks the
# database for the time, and writes all of it. BUG leaves out the lock, or moves one of the others before it.

require "bigdecimal"
require "json"
require "sequel"
require "webrick"

BUG = ENV.fetch("BUG", "")
DB = Sequel.connect(ENV.fetch("DATABASE_URL").sub(/\Apostgresql:/, "postgres:"), max_connections: 8)
Sequel.default_timezone = :utc

DB.run <<~SQL
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
  );
SQL

class Refused < StandardError
  attr_reader :status

  def initialize(status, code)
    @status = status
    super(code)
  end
end

def body_of(request, name)
  body = JSON.parse(request.body.to_s)
  raise Refused.new(400, "bad_request") unless body.is_a?(Hash) && body.keys == [name]
  body[name]
rescue JSON::ParserError
  raise Refused.new(400, "bad_request")
end

def total_of(request)
  written = body_of(request, "total")
  valid = written.is_a?(String) && written.match?(/\A\d{1,9}(\.\d{1,2})?\z/) && BigDecimal(written).positive?
  raise Refused.new(400, "bad_amount") unless valid
  BigDecimal(written)
end

def find(id, charges = DB[:charge])
  charges.first(id: id) or raise Refused.new(404, "no_such_charge")
end

def lock(id)
  find(id, BUG == "no-lock" ? DB[:charge] : DB[:charge].for_update)
end

def now
  DB.get(Sequel.function(:clock_timestamp))
end

def money(amount)
  amount && format("%.2f", amount)
end

def shown(charge)
  till = charge[:valid_till]&.iso8601(6)
  { charge: charge.merge(total: money(charge[:total]), paid: money(charge[:paid]), valid_till: till) }
end

def create(request)
  [201, shown(DB[:charge].returning.insert(total: total_of(request)).first)]
end

def read(id)
  [200, shown(find(id))]
end

# Moves a charge from one status to another; the block gives what else is set.
def change(id, from, to)
  DB.transaction do
    charge = lock(id)
    raise Refused.new(409, "is_#{charge[:status]}") unless charge[:status] == from
    values = { status: to, **(block_given? ? yield : {}) }
    [200, shown(DB[:charge].where(id: id).returning.update(values).first)]
  end
end

def authorize(id, request)
  valid_for = Rational(body_of(request, "valid_for_ms"), 1000)
  change(id, "new", "authorized") { { valid_till: now + valid_for } }
end

def capture(id, request)
  total, token = total_of(request), request["X-Request-Token"]
  DB.transaction do
    instant = now if BUG == "clock-before-lock"
    requests = DB[:capture_request].where(charge_id: id, token: token)
    known = requests.first if BUG == "key-before-lock"
    charge = lock(id)
    known = requests.first unless BUG == "key-before-lock"
    raise Refused.new(422, "token_was_used") if known && known[:total] != total
    next [known[:status], known[:answer], "X-Again" => "yes"] if known
    status, result = decide(charge, total, instant || now)
    stored = { charge_id: id, token: token, total: total, status: status, answer: result.to_json }
    DB[:capture_request].insert_conflict.insert(stored)
    [status, result]
  end
end

def decide(charge, total, instant)
  return 409, { error: "is_#{charge[:status]}" } unless charge[:status] == "authorized"
  return 409, { error: "too_late" } if instant >= charge[:valid_till]
  return 409, { error: "another_total" } unless total == charge[:total]
  DB[:charge].where(id: charge[:id]).update(status: "paid", paid: total)
  [200, { status: "paid" }]
end

def expire
  due = Sequel[:valid_till] <= Sequel.function(:clock_timestamp)
  DB[:charge].where(status: "authorized").where(due).update(status: "cancelled")
  [204, ""]
end

def answer(request)
  case [request.request_method, request.path]
  in ["POST", "/charges"] then create(request)
  in ["POST", "/jobs/expire"] then expire
  in ["GET", %r{\A/charges/([0-9a-f-]{36})\z}] then read($1)
  in ["POST", %r{\A/charges/([0-9a-f-]{36})/authorization\z}] then authorize($1, request)
  in ["POST", %r{\A/charges/([0-9a-f-]{36})/capture\z}] then capture($1, request)
  in ["POST", %r{\A/charges/([0-9a-f-]{36})/cancel\z}] then change($1, "authorized", "cancelled")
  else raise Refused.new(404, "no_such_route")
  end
rescue Refused => error
  [error.status, { error: error.message }]
end

class Charges < WEBrick::HTTPServlet::AbstractServlet
  def service(request, response)
    response.status, content, headers = answer(request)
    headers&.each { |name, value| response[name] = value }
    response.content_type = "application/json"
    response.body = content.is_a?(String) ? content : content.to_json
  end
end

log = WEBrick::Log.new($stderr, WEBrick::Log::WARN)
options = { BindAddress: ENV.fetch("HOST"), Port: ENV.fetch("PORT").to_i, Logger: log, AccessLog: [] }
server = WEBrick::HTTPServer.new(**options)
server.mount("/", Charges)
trap("TERM") { server.shutdown }
server.start
