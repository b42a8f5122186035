/**
 * The atomic path: per batch one script that, for each entry, looks whether it is still pending, whether it has been delivered
 * too often, whether its key is marked or its job exists, adds and marks it or writes its dead letter; one XACK at the end,
 * whose return goes into the ledger. A stale holder finds its entries gone; a rerun after a lost reply finds them settled;
 * there is nothing in between for a crash to fall into.
 *
 * The script holds Redis for some 20–70 µs an entry. A batch is therefore cut into pieces, and other clients get their turn
 * between them. All are sent at once: over a distance a batch then still costs one round trip. Their size is fixed. Round trips
 * cannot tell how long Redis was held: sized by them, pieces shrank to a few entries on a distant or busy server, and the fixed
 * cost of each made it busier still.
 */

import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { addScriptFor, forwardFunctions } from '../bullmq/addscript.ts'
import { createJobComposer, type JobCall } from '../bullmq/encoder/composer.ts'
import type { BullQueue } from '../bullmq/queue.ts'
import type { RedisConnection } from '../connect/connection.ts'
import { jobId } from '../keys.ts'
import type { ForwardTarget, StreamPlace } from '../placement.ts'
import type { DeadLetterReason } from '../record.ts'
import { createPacker } from '../scripts/packer.ts'
import { defineScript } from '../scripts/script.ts'
import { buryFunction, unwritable } from '../stream/settlement.ts'
import { type SettleOutcome, type SettlePath, settlementOf, type Verdict } from './path.ts'

/**
 * Keys: stream, dead letters, stats, the add script's keys, then one mark per entry to forward. Arguments: group, dead-letter
 * bound, delivery ceiling, prefix, window, number of the add script's keys, first and last id and number of entries, and a
 * packed list, per entry its kind: `F`, id, redrives, job id, the add's first and third argument, or `B`, id, redrives, hash,
 * reason, error; then the data of each entry to forward, the add's second. Replies: waiting jobs, then an outcome per entry; an
 * outcome beginning with `!` is the server's refusal of a dead letter, whose entry stays pending.
 *
 * Entries that were read together are neighbours in the pending list, so one listing tells of nearly all; what it misses
 * (others' entries in between, ids out of order) is looked up by itself.
 */
function atomicScript(bull: BullQueue, target: ForwardTarget): string {
  return `${forwardFunctions(bull.scripts, addScriptFor(target.jobOptions))}
${buryFunction}
local stream, dead, stats = KEYS[1], KEYS[2], KEYS[3]
local group, maxDead, ceiling = ARGV[1], ARGV[2], tonumber(ARGV[3])
local prefix, window, addKeyCount = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local wrong = checkTypes(prefix) or wrongType(stream, 'stream') or wrongType(stats, 'hash')
if wrong then return wrong end
local addKeys = {}
for i = 1, addKeyCount do addKeys[i] = KEYS[3 + i] end
local replies, settled, buried, at, forwards = {0}, {}, 0, 1, 0
local list = cmsgpack.unpack(ARGV[10])
local delivered = {}
if tonumber(ARGV[9]) > 0 then
  for _, row in ipairs(redis.call('XPENDING', stream, group, ARGV[7], ARGV[8], ARGV[9])) do delivered[row[1]] = row[4] end
end
local function deliveriesOf(id)
  if delivered[id] then return delivered[id] end
  local row = redis.call('XPENDING', stream, group, id, id, 1)[1]
  return row and row[4]
end
local function hashOf(jobId) return string.sub(jobId, ${jobId(target.keys.scope, '').length + 1}) end
local function dispose(id, reason, failure, hash, redrives)
  local written = bury(stream, dead, group, maxDead, id, reason, failure, hash, redrives, 0, 0)
  if written == 1 then
    settled[#settled + 1] = id
    buried = buried + 1
    return reason == 'MaxDeliveries' and 'exhausted' or 'dead'
  end
  if written == 0 then return 'gone' end
  return '!' .. written.err
end
while at <= #list do
  local kind, id, redrives = list[at], list[at + 1], list[at + 2]
  local outcome
  if kind == 'B' then
    outcome = dispose(id, list[at + 4], list[at + 5], list[at + 3], redrives)
  else
    forwards = forwards + 1
    local jobId = list[at + 3]
    local deliveries = deliveriesOf(id)
    if not deliveries then outcome = 'gone'
    elseif deliveries > ceiling then
      outcome = dispose(id, 'MaxDeliveries', 'delivered ' .. deliveries .. ' times; the ceiling is ' .. ceiling,
        hashOf(jobId), redrives)
    else
      outcome = forwardOne(now, window, prefix, jobId, KEYS[3 + addKeyCount + forwards], id, addKeys,
        {list[at + 4], ARGV[10 + forwards], list[at + 5]})
      if string.sub(outcome, 1, 9) == 'rejected:' then
        outcome = dispose(id, 'SinkRejected', string.sub(outcome, 10), hashOf(jobId), redrives)
      else settled[#settled + 1] = id end
    end
  end
  at = at + 6
  replies[#replies + 1] = outcome
end
if #settled > 0 then
  local acknowledged = redis.call('XACK', stream, group, unpack(settled))
  redis.call('HINCRBY', stats, 'settled', acknowledged)
  if buried > 0 then redis.call('HINCRBY', stats, 'dead', buried) end
end
replies[1] = waitingJobs(prefix)
return replies`
}

/** Most entries settled by one run of the script: one to two milliseconds of Redis' time. */
const pieceSize = 36

export function createAtomicPath(
  connection: RedisConnection,
  place: StreamPlace,
  target: ForwardTarget,
  bull: BullQueue,
  options: { readonly maxDeliveries: number },
): SettlePath {
  const queueKey = `${target.prefix}:${target.queue}:`
  const script = defineScript('settleAtomically', atomicScript(bull, target))
  const bullKeys = bull.scripts.get(addScriptFor(target.jobOptions))?.keys ?? 0
  const composer = createJobComposer(bull, target)

  const call = async (addKeys: readonly string[], verdicts: readonly Verdict[], piece: Piece) => {
    const fixedKeys = [place.stream, place.deadLetters, place.keys.stats]
    const range = [verdicts[0]?.id ?? '', verdicts.at(-1)?.id ?? '', verdicts.length]
    const fixed = [place.group, place.maxDeadLetters, options.maxDeliveries, queueKey, target.windowMs, addKeys.length, ...range]
    const reply = await script.run(
      connection,
      [...fixedKeys, ...addKeys, ...piece.marks],
      [...fixed, piece.packed, ...piece.data],
    )
    const [waiting, ...outcomes] = Array.isArray(reply) ? reply : []
    return { waiting: Number(waiting), outcomes: outcomes.map(String) }
  }

  const settlePiece = async (verdicts: readonly Verdict[]) => {
    const items = verdicts.flatMap((verdict) => (verdict.kind === 'Forward' ? [verdict.item] : []))
    const { final, piece } = packPiece(target, withRefusals(verdicts, await composer.compose(items)))
    const { waiting, outcomes } = await call(composer.keys, verdicts, piece)
    const refused = outcomes.find((outcome) => outcome.startsWith('!'))
    return {
      waiting,
      outcomes: outcomes.map((outcome, index) => outcomeOf(final[index], outcome)),
      failure: refused === undefined ? undefined : unwritable(connection, place, refused.slice(1)),
    }
  }

  return {
    kind: 'Atomic',
    async settle(verdicts) {
      const count = Math.ceil(verdicts.length / pieceSize)
      const size = Math.ceil(verdicts.length / count)
      const pieces = Array.from({ length: count }, (_, index) => verdicts.slice(index * size, (index + 1) * size))
      // All have ended before a failure of one is told: none may still be under way when the batch is tried again.
      const results = await Promise.allSettled(pieces.map(settlePiece))
      const outcomes: SettleOutcome[] = []
      let waiting = 0
      let failure: StreamPipelineError | undefined
      for (const [index, result] of results.entries()) {
        if (result.status === 'rejected') {
          failure = asFailure(result.reason)
          outcomes.push(...(pieces[index] ?? []).map(() => ({ kind: 'unsettled' }) as const))
        } else {
          failure ??= result.value.failure
          outcomes.push(...result.value.outcomes)
          waiting = result.value.waiting
        }
      }
      return settlementOf(outcomes, waiting, failure)
    },
    async waiting() {
      const keys = Array.from({ length: bullKeys }, () => `${queueKey}wait`)
      return (await call(keys, [], packPiece(target, []).piece)).waiting
    },
    close: bull.close,
  }
}

type Burying = Extract<Verdict, { kind: 'Bury' }>

/** A verdict after BullMQ has been asked: what it refuses to add is buried. */
type Final =
  | { readonly verdict: Extract<Verdict, { kind: 'Forward' }>; readonly call: Extract<JobCall, { kind: 'Add' }> }
  | { readonly verdict: Burying; readonly call?: never; readonly hash: string }

/** @param calls one per verdict to forward, in order */
function withRefusals(verdicts: readonly Verdict[], calls: readonly JobCall[]): readonly Final[] {
  let next = 0
  return verdicts.map((verdict): Final => {
    if (verdict.kind === 'Bury') return { verdict, hash: '' }
    const call = calls[next++]
    if (call?.kind === 'Add') return { verdict, call }
    const { id, item, redrives } = verdict
    const error = call?.error ?? 'refused'
    return { verdict: { kind: 'Bury', id, reason: 'SinkRejected', error, redrives }, hash: item.hash }
  })
}

interface Piece {
  readonly marks: readonly string[]
  readonly packed: Buffer
  readonly data: readonly (string | Buffer)[]
}

/** Keeps of the steps only the verdicts: the rest need not outlive the packing. */
function packPiece({ keys }: ForwardTarget, steps: readonly Final[]): { piece: Piece; final: readonly Verdict[] } {
  const marks: string[] = []
  const data: (string | Buffer)[] = []
  // An entry to forward takes some 350 bytes.
  const packer = createPacker(512 * steps.length)
  for (const step of steps) {
    const { verdict } = step
    packer.text(verdict.kind === 'Bury' ? 'B' : 'F')
    packer.text(verdict.id)
    packer.text(verdict.redrives)
    if (step.call === undefined) {
      packer.text(step.hash)
      packer.text(step.verdict.reason)
      packer.text(step.verdict.error.slice(0, 1_000))
    } else {
      const { hash } = step.verdict.item
      marks.push(keys.mark(hash))
      data.push(step.call.data)
      packer.text(jobId(keys.scope, hash))
      packer.joined(step.call.args)
      packer.joined(step.call.options)
    }
  }
  return { piece: { marks, packed: packer.finish(), data }, final: steps.map(({ verdict }) => verdict) }
}

function outcomeOf(verdict: Verdict | undefined, outcome: string): SettleOutcome {
  switch (outcome) {
    case 'forwarded':
    case 'duplicate':
    case 'gone':
      return { kind: outcome }
    case 'exhausted':
      return { kind: 'dead', reason: 'MaxDeliveries', error: 'delivered too often' }
    case 'dead': {
      const [reason, error]: [DeadLetterReason, string] =
        verdict?.kind === 'Bury' ? [verdict.reason, verdict.error] : ['SinkRejected', 'BullMQ refused to add the job']
      return { kind: 'dead', reason, error }
    }
    default:
      // The server refused the record: the entry stays pending.
      return { kind: 'unsettled' }
  }
}
