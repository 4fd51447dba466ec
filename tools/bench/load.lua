-- Sends one kind of request from one thread: each answer must have `status` and hold `contains`.
-- The first argument is a plan as load.py writes it.

local plan = {}
local threads = {}
local turn, first, last = 0, 1, 0
local probed = false
wrong, sample = 0, ""

function setup(thread) table.insert(threads, thread) end

local function field(file)
  local size = file:read("*n")
  file:read(1)
  return file:read(size) or ""
end

function init(args)
  local file = assert(io.open(args[1], "rb"))
  plan.status = tonumber(field(file))
  local pause = tonumber(field(file))
  -- wrk asks for a pause before each request if it finds this function.
  if pause > 0 then delay = function() return pause end end
  for _, name in ipairs({ "contains", "renewed", "escape", "head", "before", "behind" }) do
    plan[name] = field(file)
  end
  plan.pattern = '"' .. plan.renewed .. '"%s*:%s*"([^"]*)"'
  last = tonumber(field(file))
  for index = 1, last do plan[index] = field(file) end
  file:close()
end

local function chained(text)
  local body = plan.before .. text .. plan.behind
  return plan.head .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

-- Texts wait in a queue for a connection that sends them.
local function waiting()
  local text = plan[first]
  plan[first] = nil
  first = first + 1
  return text
end

function request()
  if plan.renewed == "" then
    turn = turn % last + 1
    return plan[turn]
  end
  if not probed then
    -- wrk asks for one request that it never sends.
    probed = true
    return chained(plan[first])
  end
  local text = waiting()
  -- A wrong answer lost its chain. When none waits any more the load is over.
  if text == nil then wrk.thread:stop() end
  return chained(text or "")
end

local function escaped(text)
  if plan.escape == "" then return text end
  return (text:gsub("[^%w._~-]", function(c) return string.format("%%%02X", c:byte()) end))
end

function response(status, headers, body)
  local right = status == plan.status
  if right and plan.contains ~= "" then right = body:find(plan.contains, 1, true) ~= nil end
  if right and plan.renewed ~= "" then
    local text = body:match(plan.pattern)
    right = text ~= nil
    if right then
      last = last + 1
      plan[last] = escaped(text)
    end
  end
  if not right then
    wrong = wrong + 1
    if sample == "" then sample = status .. " " .. body:sub(1, 300) end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local bad, first = errors.connect + errors.read + errors.write + errors.timeout, ""
  if bad > 0 then first = "a connection failed" end
  for _, thread in ipairs(threads) do
    bad = bad + thread:get("wrong")
    if thread:get("sample") ~= "" then first = thread:get("sample") end
  end
  io.stderr:write(string.format("%d %d %d %d %d\n%s", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), bad, first))
end
