-- wrk: captures at a given rate, whether or not the server keeps up; one thread, many connections.
-- Arguments: the folder of this file, the token, the number of the first payment, captures a second.
--
-- When to send is drawn beforehand (a Poisson process, in whole milliseconds, as wrk's timer has them), and
-- whichever connection is free sends next: clients that are as many as they like do not wait for each other.
-- A latency is from that instant to the answer. What is sent late because no connection was free, or because
-- the timer was, is late from the client's point of view (no coordinated omission).
-- Which answer is whose says the id of the request, which comes back with it.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *found);
]]

local captures
local number
local between
local arrival
local found
local due = {}
local asked = 0
local sent = 0
local thread
latencies = {}

local function now()
  ffi.C.clock_gettime(0, found)
  return tonumber(found.seconds) * 1000 + tonumber(found.nanoseconds) / 1e6
end

function setup(only)
  thread = only
end

function init(arguments)
  found = ffi.new("bench_time")
  captures = dofile(arguments[1] .. "/payments.lua")
  captures.token = arguments[2]
  number = tonumber(arguments[3])
  between = 1000 / tonumber(arguments[4])
  math.randomseed(1)
  arrival = now()
end

function delay()
  arrival = arrival - between * math.log(1 - math.random())
  asked = asked + 1
  due[asked] = math.floor(arrival)
  return math.max(0, due[asked] - math.floor(now()))
end

function request()
  if asked == 0 then
    return captures.request(number)  -- wrk looks at one, and does not send it
  end
  sent = sent + 1
  number = number + 1
  return captures.request(number - 1, { ["X-Request-ID"] = tostring(sent) })
end

function response(status, headers)
  local answered = tonumber(headers["x-request-id"])
  latencies[#latencies + 1] = math.floor((now() - due[answered]) * 1000)
  due[answered] = nil
end

function done(summary)
  captures = dofile(os.getenv("BENCH_SCRIPTS") .. "/payments.lua")
  captures.report(summary, ',"latencies":[' .. table.concat(thread:get("latencies"), ",") .. "]")
end
