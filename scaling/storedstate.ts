/**
 * The scaler's state as Redis returns it. Any program with a consumer's rights may write there, so each part is checked first. Numbers must
 * be finite and within their range; lists must be no longer than ours. A state of another form is dropped, and the next decision starts
 * from the running replicas. Fields of a later release are passed over, those that an earlier one did not write may be absent. Whether a
 * state fits the stream and the clock is found out with the first sample (resume.ts).
 */
import { z } from 'zod'
import { longestState } from './circuit.ts'
import { longestStartMs } from './startup.ts'
import type { ScalingState } from './state.ts'

const time = z.number().min(0).max(8_640_000_000_000_000)
const amount = z.number().min(0).max(Number.MAX_SAFE_INTEGER)
const rate = z.number().min(0).max(1e12)
/** Far above the number of replicas that a pipeline's schema allows. */
const replicas = z.number().int().min(0).max(1_000_000)

const flag = z.literal(true).optional()

const wanted = z.array(z.object({ atMs: time, replicas, ran: flag })).max(4_096)
const mark = z.object({ settled: amount, succeeded: amount.optional(), atMs: time })
const marks = z.record(z.string().max(512), mark).refine((all) => Object.keys(all).length <= 4_096)

const capacity = z.object({
  perSecond: rate.optional(),
  entries: amount.optional(),
  backlogSinceMs: time.optional(),
  /** For a pipeline that clears next to nothing: later than any date. */
  deepUntilMs: z.number().min(0).max(Number.MAX_VALUE).optional(),
  sum: z.object({ settled: amount, ms: amount }).optional(),
  serviceMs: amount.optional(),
  service: z.object({ meanMs: amount, entries: amount }).optional(),
  carried: flag,
  marks,
})

const startUp = z.object({
  typicalMs: z.number().min(0).max(longestStartMs).optional(),
  awaiting: z.object({ replicas, sinceMs: time, begunBefore: flag }).optional(),
})

const window = z.object({ sinceMs: time, ready: replicas, entries: amount, full: z.boolean(), queued: amount })
const level = z.object({ atMs: time, ready: replicas, perSecond: rate, entries: amount })
const remembered = { window: window.optional(), best: rate.optional() }
const found = { replicas, perSecond: rate, ...remembered }

const downstream = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('Watching'),
    levels: z.array(level).max(1_024),
    quietUntilMs: time.optional(),
    ...remembered,
  }),
  z.object({ kind: z.literal('Trimming'), before: rate, cuts: amount, ...found }),
  z.object({ kind: z.literal('Held'), sinceMs: time, waitMs: amount, alone: rate.optional(), ...found }),
  z.object({ kind: z.literal('Probing'), before: rate, waitMs: amount, alone: rate.optional(), ...found }),
])

const outage = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('Suspected'), sinceMs: time }),
  z.object({ kind: z.literal('Open'), sinceMs: time, entries: amount }),
  z.object({ kind: z.literal('Readmitting'), entries: amount, untilMs: time }),
])

const stored = z.object({
  version: z.literal(1),
  atMs: time.optional(),
  replicas,
  recommended: replicas.optional(),
  deployed: replicas.optional(),
  sinceMs: time.optional(),
  misses: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  arrivals: z.array(z.object({ atMs: time, added: amount })).max(4_096),
  capacity,
  startUp,
  downstream: downstream.optional(),
  outage: outage.optional(),
  wanted,
  rush: wanted,
  lastShrinkMs: time.optional(),
  lastLateMs: time.optional(),
  idleSinceMs: time.optional(),
})

const writeEveryMs = 30_000

/** Whether a state is to be written: another number was decided, the circuit breaker changed, or the last write is half a minute old. */
export function isDue(state: ScalingState, written: ScalingState | undefined, writtenForMs: number): boolean {
  if (written === undefined) return true
  if (state.replicas !== written.replicas || state.outage?.kind !== written.outage?.kind) return true
  return writtenForMs >= writeEveryMs
}

/** Undefined: the text is no state of this version. Throws nothing. */
export function parseScalingState(text: string): ScalingState | undefined {
  if (text.length > longestState) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The text is not JSON, so this product did not write it.
    return undefined
  }
  const { success, data } = stored.safeParse(value)
  return success ? (data as ScalingState) : undefined
}
