local redis, redisOfBull = (function(real)
  local kind, at, litter, label = string.match(table.remove(ARGV), '^(%u+) (%d+) (%S*) (.*)$')
  at = tonumber(at)
  local calls = 0
  local function named(place, command, ...)
    local words = {command, ...}
    local sub = string.match(string.upper(command), '^X[GI]') and words[2] .. ' ' or ''
    local key = words[sub == '' and 2 or 3]
    return 'refusal|' .. label .. '|' .. calls .. '|' .. place .. '|' .. string.upper(command .. ' ' .. sub) .. '|' .. tostring(key or '')
  end
  local function counting(place, how)
    return function(...)
      calls = calls + 1
      if kind == 'TRACE' then real.pcall('TYPE', named(place, ...))
      elseif calls == at and kind == 'NOPERM' then return how('TYPE', named(place, ...))
      elseif calls == at and kind == 'WRONGTYPE' then return how('HGET', litter, 'field') end
      return how(...)
    end
  end
  local function seenFrom(place)
    return setmetatable({call = counting(place, real.call), pcall = counting(place, real.pcall)}, {__index = real})
  end
  return seenFrom('ours'), seenFrom('bull')
end)(redis)
