--[[
  Brings the ledger up to date.

  KEYS
    stream        stream
    stats         hash

  ARGV
    group         text

  REPLY
    lost          integer?   entries lost unread so far; nothing while it cannot be known without counting
    unaccounted   integer    entries that other hands took and that are still in the stream, at most
    undecided     integer    entries cut unread or taken by other hands; counts do not say which
    from          text       id before the first unaccounted or undecided entry; empty without any
    since         integer    server time, ms, after which they went; 0 without any

  WRITES
    1 account's (lib/ledger.lua)
]]
-- @include ledger
local state = account(stream, group, stats)
if not state then return {false, 0, 0, '', 0} end
local missing = state.unaccounted + state.undecided > 0
return {
  state.lost and digits(state.lost) or false, state.unaccounted, state.undecided,
  missing and state.missingFrom or '', missing and digits(state.missingSince) or 0
}
