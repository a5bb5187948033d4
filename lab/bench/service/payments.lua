-- Which payment has which number, and what a capture of it looks like; the other scripts begin with this.
-- The same numbers give the same ids in lab/bench/service/database.py.

local captures = { token = "" }

function captures.id(number)
  local scattered = 10000000 + (number * 61803397) % 90000000
  return string.format("%08d-0000-0000-0000-000000000000", scattered)
end

function captures.request(number, headers)
  headers = headers or {}
  headers["Authorization"] = "Bearer " .. captures.token
  headers["Content-Type"] = "application/json"
  headers["Idempotency-Key"] = string.format("order-%d-capture", number)
  return wrk.format("POST", "/payments/" .. captures.id(number) .. "/captures", headers, '{"amount_cents":1000}')
end

-- The one line that lab/bench/service/load.py reads.
function captures.report(summary, more)
  local errors = summary.errors
  io.write(string.format(
    'result {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d%s}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout, more))
end

return captures
