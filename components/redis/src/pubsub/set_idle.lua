-- Sets for how long entries have lain idle that are this consumer's still.
-- KEYS: the stream. ARGV: group, consumer, milliseconds, ids. Answers those that are not this consumer's.
local lost = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local held = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1, ARGV[2])
  if #held == 0 then
    lost[#lost + 1] = id
  else
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'IDLE', ARGV[3], 'JUSTID')
  end
end
return lost
