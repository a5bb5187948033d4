-- wrk: whole lives of payments, one after the other: created, authorized, captured.
-- Arguments: the folder of this file, the token, the number of the first payment, how many each thread may use.
-- One connection for each thread, so that a payment's next request follows the answer to the one before.

local captures
local number
local step = 0
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("index", #threads - 1)
end

function init(arguments)
  captures = dofile(arguments[1] .. "/payments.lua")
  captures.token = arguments[2]
  number = tonumber(arguments[3]) + index * tonumber(arguments[4])
end

-- wrk calls this once more than it sends, so that only an answer moves on.
function request()
  if step == 2 then
    return captures.request(number)
  end
  local headers = {
    ["Authorization"] = "Bearer " .. captures.token,
    ["Content-Type"] = "application/json",
  }
  local path = "/payments/" .. captures.id(number)
  if step == 0 then
    return wrk.format("PUT", path, headers, '{"amount_cents":1000}')
  end
  return wrk.format("POST", path .. "/authorize", headers, '{"capture_window_seconds":86400}')
end

function response()
  step = (step + 1) % 3
  if step == 0 then
    number = number + 1
  end
end

function done(summary)
  captures = dofile(os.getenv("BENCH_SCRIPTS") .. "/payments.lua")
  captures.report(summary, "")
end
