-- Removes a consumer that holds nothing; with it would go what it holds.
-- KEYS: the stream. ARGV: group, consumer. Answers whether it is gone.
local held = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if #held > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
