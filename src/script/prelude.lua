-- Lua's own functions as scripts see them. The servers' tables of functions cannot be changed ("readonly"); here a
-- script holds empty tables in front of the real ones, and what would change or look into them is wrapped.
--
-- `host` has the functions of prelude.rs. Names of wrapped functions stay those of Lua, as errors name them.
local host = ...
local pcall, xpcall, resume = pcall, xpcall, coroutine.resume
local create, wrap, yield = coroutine.create, coroutine.wrap, coroutine.yield
local rawset, rawget, setmetatable, getmetatable = rawset, rawget, setmetatable, getmetatable
local next, pairs, select, type, tonumber = next, pairs, select, type, tonumber
local insert, concat = table.insert, table.concat
local plain, recover, fail, guard, load_text = host.plain, host.recover, host.fail, host.guard, host.load_text

local READONLY = 'Attempt to modify a readonly table'
local real, shown_metatable = {}, {}

local function wrong_type(n, name, wanted, count, value)
  local got = count < n and 'no value' or type(value)
  fail("bad argument #" .. n .. " to '" .. name .. "' (" .. wanted .. " expected, got " .. got .. ")", true)
end

local function table_wanted(name, count, value)
  if type(value) ~= 'table' then wrong_type(1, name, 'table', count, value) end
end

local function changeable(t)
  if real[t] then fail(READONLY, false) end
end

local base = {}

local function settled(ok, ...)
  if ok then return true, ... end
  return false, plain((...))
end

function base.pcall(...)
  return settled(pcall(...))
end

local function recovered(ok, ...)
  if ok then return true, ... end
  return false, recover((...))
end

function base.xpcall(f, handler)
  return recovered(xpcall(f, function(e) return handler(recover(e)) end))
end

function base.rawset(...)
  local t = ...
  table_wanted('rawset', select('#', ...), t)
  changeable(t)
  return rawset(...)
end

function base.rawget(t, ...)
  return rawget(real[t] or t, ...)
end

function base.setmetatable(...)
  local t = ...
  table_wanted('setmetatable', select('#', ...), t)
  changeable(t)
  return setmetatable(...)
end

function base.getmetatable(...)
  local value = ...
  if type(value) == 'string' then return shown_metatable['string'] end
  if value ~= nil and real[value] then return shown_metatable[value] end
  return getmetatable(...)
end

function base.next(...)
  local t, key = ...
  table_wanted('next', select('#', ...), t)
  return next(real[t] or t, key)
end

function base.pairs(...)
  local t = ...
  table_wanted('pairs', select('#', ...), t)
  return pairs(real[t] or t)
end

function base.loadstring(text, name)
  return load_text(text, name == nil and text or name)
end

function base.load(reader, name)
  if type(reader) ~= 'function' then wrong_type(1, 'load', 'function', reader == nil and 0 or 1, reader) end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == '' then break end
    if type(piece) ~= 'string' then return nil, 'reader function must return a string' end
    insert(pieces, piece)
  end
  return load_text(concat(pieces), name == nil and '=(load)' or name)
end

local co = {}
for name, f in pairs(coroutine) do co[name] = f end

-- C's stack is checked where a coroutine begins and where it goes on: Lua 5.1 itself does not.
local function guarded(f)
  return function(...)
    guard()
    return f(...)
  end
end

function co.create(f)
  if type(f) ~= 'function' then
    fail("bad argument #1 to 'create' (Lua function expected)", true)
  end
  return create(guarded(f))
end

function co.wrap(f)
  if type(f) ~= 'function' then
    fail("bad argument #1 to 'wrap' (Lua function expected)", true)
  end
  return wrap(guarded(f))
end

local function went_on(...)
  guard()
  return ...
end

function co.yield(...)
  return went_on(yield(...))
end

function co.resume(...)
  local thread = ...
  if type(thread) ~= 'thread' then
    fail("bad argument #1 to 'resume' (coroutine expected)", true)
  end
  return recovered(resume(...))
end

local tables = {}
for name, f in pairs(table) do tables[name] = f end

function tables.insert(...)
  local t, at = ...
  local count = select('#', ...)
  table_wanted('insert', count, t)
  changeable(t)
  if count ~= 2 and count ~= 3 then fail("wrong number of arguments to 'insert'", true) end
  if count == 3 and not tonumber(at) then wrong_type(2, 'insert', 'number', count, at) end
  return insert(...)
end

base.coroutine, base.table = co, tables

-- The table that a script holds instead of `t`.
local function protect(t)
  local shown = setmetatable({}, { __index = t, __newindex = host.readonly })
  real[shown] = t
  return shown
end

-- Calls a function of a library under the error handler.
local function call(f, handler, keys, argv)
  return xpcall(function() return f(keys, argv) end, handler)
end

return { base = base, protect = protect, call = call, pcall = pcall, xpcall = xpcall, real = real, shown_metatable = shown_metatable }
