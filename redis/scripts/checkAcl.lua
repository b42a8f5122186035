--[[
  Asks which commands the user may not send. It declares no keys: a script that declares one that is not granted is refused whole.
  A user may ask for its own rights in this way, while ACL DRYRUN is for administrators.

  ARGV
    questions   packed    list of {n, at, words…}: the command's words, of which word `at` is replaced by keys[n]; 0 where it has no key
    keys        text[]

  REPLY
    denied      integer[] numbers of the questions, from 1; commands that the server does not know are not among them

  WRITES
    none
]]
if not redis.acl_check_cmd then return {{}} end
local denied = {}
for number, question in ipairs(questions) do
  local words = slice(question, 3, #question - 2)
  if question[1] > 0 then words[question[2]] = keys[question[1]] end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not allowed then denied[#denied + 1] = number end
end
return {denied}
