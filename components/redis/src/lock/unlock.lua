-- Removes the lock KEYS[1] if its owner is ARGV[1].
-- Answers 1 when it did, 0 when there is no lock, -1 when it is another owner's.
local owner = redis.call('GET', KEYS[1])
if not owner then
  return 0
end
if owner ~= ARGV[1] then
  return -1
end
redis.call('DEL', KEYS[1])
return 1
