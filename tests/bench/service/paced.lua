-- wrk: captures at a given rate, whether or not the server keeps up; one connection for each thread.
-- Arguments: the folder of this file, the token, the number of the first payment, captures a second, threads,
-- how many payments there are for each thread.
--
-- Each thread decides beforehand when to send (a Poisson process, in whole milliseconds, as wrk's timer has
-- them). A latency is from that instant to the answer. What is sent late because the answer before it was
-- late, or because the timer was, is late from the client's point of view (no coordinated omission).

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } bench_time;
  int clock_gettime(int clock, bench_time *found);
]]

local captures
local number
local between
local due
local found
latencies = {}
local threads = {}

local function now()
  ffi.C.clock_gettime(0, found)
  return tonumber(found.seconds) * 1000 + tonumber(found.nanoseconds) / 1e6
end

local function following()
  return math.floor(due - between * math.log(1 - math.random()))
end

function setup(thread)
  table.insert(threads, thread)
  thread:set("index", #threads - 1)
end

function init(arguments)
  found = ffi.new("bench_time")
  captures = dofile(arguments[1] .. "/payments.lua")
  captures.token = arguments[2]
  number = tonumber(arguments[3]) + index * tonumber(arguments[6])
  between = 1000 * tonumber(arguments[5]) / tonumber(arguments[4])
  math.randomseed(1 + index)
  due = math.floor(now())
  due = following()
end

function delay()
  return math.max(0, due - math.floor(now()))
end

function request()
  number = number + 1
  return captures.request(number - 1)
end

function response()
  latencies[#latencies + 1] = math.floor((now() - due) * 1000)
  due = following()
end

function done(summary)
  captures = dofile(os.getenv("BENCH_SCRIPTS") .. "/payments.lua")
  local all = {}
  for _, thread in ipairs(threads) do
    for _, latency in ipairs(thread:get("latencies")) do
      all[#all + 1] = tostring(latency)
    end
  end
  captures.report(summary, ',"latencies":[' .. table.concat(all, ",") .. "]")
end
