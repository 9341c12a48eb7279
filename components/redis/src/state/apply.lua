-- Applies writes to state keys, all or none.
-- KEYS: one per write. ARGV: per write six: verb ("set", "del"), etag (empty: none), first-write (0, 1),
-- expiry in seconds (0: keep what is there, -1: none), layout ("hash", "document"), data (JSON for a document);
-- and at the end "apply", or "judge" to write nothing.
-- Answers nil, or the number of the first write that may not happen and why.

local WIDTH = 6

local function argument(write, position)
  return ARGV[(write - 1) * WIDTH + position]
end

-- The layout of what is there: "none" for nothing, something else for what is in neither layout.
local function layout_of(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'ReJSON-RL' and 'document' or kind
end

-- A member of what is there, nil for none.
local function member(key, layout, name)
  local found
  if layout == 'hash' then
    found = redis.call('HGET', key, name)
  elseif layout == 'document' then
    -- A path that is not there is an error.
    found = redis.pcall('JSON.GET', key, '.' .. name)
  end
  return type(found) == 'string' and found or nil
end

-- Why this write may not happen, judged by what is there before all writes.
local function refusal(write, key)
  local verb, etag, first = argument(write, 1), argument(write, 2), argument(write, 3)
  local layout = layout_of(key)
  if etag ~= '' then
    local version = member(key, layout, 'version')
    if layout == 'none' then
      return verb == 'set' and 'it does not exist' or nil
    elseif version ~= etag then
      return 'its version is ' .. (version or 'unknown')
    end
  elseif verb == 'set' and first == '1' and layout ~= 'none' then
    return 'it exists and no etag was passed'
  elseif verb == 'set' and member(key, layout, 'first-write') then
    return 'it was written first-write and no etag was passed'
  end
  return nil
end

-- The document as a whole, so that it is marked first-write only where this write is.
local function set_document(write, key, version)
  local mark = argument(write, 3) == '1' and ',"first-write":0' or ''
  local members = '"data":' .. argument(write, 6) .. mark .. ',"version":' .. version
  redis.call('JSON.SET', key, '$', '{' .. members .. '}')
end

local function set_hash(write, key, version)
  redis.call('HSET', key, 'data', argument(write, 6), 'version', version)
  if argument(write, 3) == '1' then
    redis.call('HSET', key, 'first-write', 0)
  end
end

local function set(write, key)
  local layout, wanted = layout_of(key), argument(write, 5)
  local version = string.format('%.0f', (tonumber(member(key, layout, 'version')) or 0) + 1)
  local left = 0
  if layout ~= wanted then
    left = redis.call('PTTL', key)
    redis.call('DEL', key)
  end
  if wanted == 'document' then
    set_document(write, key, version)
  else
    set_hash(write, key, version)
  end
  local expiry = tonumber(argument(write, 4))
  if expiry > 0 then
    redis.call('EXPIRE', key, expiry)
  elseif expiry < 0 then
    redis.call('PERSIST', key)
  elseif left > 0 then
    redis.call('PEXPIRE', key, left)
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
