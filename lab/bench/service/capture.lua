-- wrk: each connection captures payment after payment, as fast as it is answered.
-- Arguments: the folder of this file, the token, the number of the first payment, the step to the next, and
-- after how many answers to stop; 0 for when the time is over.

local ffi = require("ffi")
ffi.cdef "int kill(int process, int signal); int getpid(void);"

local captures
local number
local step
local left

function init(arguments)
  captures = dofile(arguments[1] .. "/payments.lua")
  captures.token = arguments[2]
  number = tonumber(arguments[3])
  step = tonumber(arguments[4])
  left = tonumber(arguments[5])
  if left > 0 then
    response = count  -- wrk reads heads of answers only if there is such a function
  end
end

function count()
  left = left - 1
  if left == 0 then
    wrk.thread:stop()
    ffi.C.kill(ffi.C.getpid(), 2)  -- its main thread sleeps until the time is over, or an interrupt
  end
end

function request()
  number = number + step
  return captures.request(number - step)
end

function done(summary, latency)
  captures = dofile(os.getenv("BENCH_SCRIPTS") .. "/payments.lua")
  captures.report(summary, string.format(',"p50":%d,"p99":%d,"p999":%d',
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
