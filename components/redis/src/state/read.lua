-- Reads one key, whatever its layout.
-- KEYS: it. Answers nil for none, else its layout ("hash", "document" or "string"), its value, its version and its
-- expiry in milliseconds (negative: none); value and version are nil where they are not there.

local key = KEYS[1]
local kind = redis.call('TYPE', key).ok

local function at(path)
  -- A path that is not there is an error.
  local found = redis.pcall('JSON.GET', key, path)
  return type(found) == 'string' and found or false
end

if kind == 'none' then
  return nil
elseif kind == 'ReJSON-RL' then
  return { 'document', at('.data'), at('.version'), redis.call('PTTL', key) }
elseif kind == 'hash' then
  local members = redis.call('HMGET', key, 'data', 'version')
  return { 'hash', members[1], members[2], redis.call('PTTL', key) }
else
  return { 'string', redis.call('GET', key), false, redis.call('PTTL', key) }
end
