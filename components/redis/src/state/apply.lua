-- Applies writes to state keys, all or none.
-- KEYS: one per write. ARGV: per write five: verb ("set", "del"), etag (empty: none), first-write (0, 1),
-- expiry in seconds (0: keep what is there, -1: none), data; and at the end "apply", or "judge" to write nothing.
-- Answers nil, or the number of the first write that may not happen and why.

local WIDTH = 5

local function argument(write, position)
  return ARGV[(write - 1) * WIDTH + position]
end

local function kind(key)
  return redis.call('TYPE', key).ok
end

-- Why this write may not happen, judged by what is there before all writes.
local function refusal(write, key)
  local verb, etag, first = argument(write, 1), argument(write, 2), argument(write, 3)
  local type = kind(key)
  local version = type == 'hash' and redis.call('HGET', key, 'version')
  if etag ~= '' then
    if type == 'none' then
      return verb == 'set' and 'it does not exist' or nil
    elseif version ~= etag then
      return 'its version is ' .. (version or 'unknown')
    end
  elseif verb == 'set' and first == '1' and type ~= 'none' then
    return 'it exists and no etag was passed'
  elseif verb == 'set' and type == 'hash' and redis.call('HEXISTS', key, 'first-write') == 1 then
    return 'it was written first-write and no etag was passed'
  end
  return nil
end

local function set(write, key)
  local type = kind(key)
  if type ~= 'hash' and type ~= 'none' then
    redis.call('DEL', key)
  end
  redis.call('HSET', key, 'data', argument(write, 5))
  if argument(write, 3) == '1' then
    redis.call('HSET', key, 'first-write', 0)
  end
  redis.call('HINCRBY', key, 'version', 1)
  local expiry = tonumber(argument(write, 4))
  if expiry > 0 then
    redis.call('EXPIRE', key, expiry)
  elseif expiry < 0 then
    redis.call('PERSIST', key)
  end
end

for write, key in ipairs(KEYS) do
  local reason = refusal(write, key)
  if reason then
    return { write, reason }
  end
end
if ARGV[#KEYS * WIDTH + 1] == 'judge' then
  return nil
end
for write, key in ipairs(KEYS) do
  if argument(write, 1) == 'set' then
    set(write, key)
  else
    redis.call('DEL', key)
  end
end
return nil
