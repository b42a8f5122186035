/**
 * One blocking read for all pipelines that sleep at one Redis (in a cluster: in one slot). A woken pipeline is left out until a look finds
 * it asleep again, so an entry that no consumer takes cannot wake it for ever.
 *
 *   Idle       no pipeline sleeps. Left when one falls asleep.
 *   Reading    opens the connection and blocks (blockingread.ts), again and again. A pipeline that falls asleep later ends the read, so that the
 *              next one waits for it, too. Left when no pipeline sleeps, to Idle, and by a failure.
 *   Waiting    Redis is away or a failover is under way: a new connection, with back-off. Left to Reading. Entries of that time wake at
 *              once, since the read begins after the last entry that was seen.
 *
 * A pipeline whose stream is refused wakes at its next look, as without a waker, and `refusal` holds the reason.
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import { type Backoff, backoffMs } from '../../process/backoff.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { createBlockingRead } from './blockingread.ts'
import type { RedisLease } from './connections.ts'
import type { IdlePipeline } from './idlepipelines.ts'

interface WakerParts {
  readonly clock: Clock
  /** The observer's connection, by which reads are ended, and its address. */
  readonly lease: RedisLease
  readonly onWake: (key: string) => void
}

export interface Waker {
  set(key: string, idlePipeline: IdlePipeline): void
  unset(key: string): void
  /** Why entries of that pipeline do not wake it at once; undefined: they do. */
  refusal(key: string): StreamPipelineError | undefined
  readonly isEmpty: boolean
  /** Idempotent. */
  close(): Promise<void>
}

/** Pipelines that fall asleep together join in one read. */
const gatherMs = 20
/** A read that has not reached the server yet cannot be ended. */
const unblockTries = 10
const retryRefusedMs = 30_000
const reconnecting: Backoff = { baseMs: 100, maxMs: 2_000 }

export function createWaker({ clock, lease, onWake }: WakerParts): Waker {
  const idlePipelines = new Map<string, IdlePipeline>()
  const refused = createRefusals(clock)
  const stop = new AbortController()
  const reader = createBlockingRead(lease, stop.signal)
  let running: Promise<void> | undefined
  let joining: Promise<void> | undefined
  /** The read under way does not wait for every idlePipeline. */
  let incomplete = false

  function start(): void {
    if (running !== undefined || idlePipelines.size === 0 || stop.signal.aborted) return
    running = run().finally(() => {
      running = undefined
      // A pipeline fell asleep while the last read was being cleared away.
      start()
    })
  }

  async function run(): Promise<void> {
    for (let attempt = 0; idlePipelines.size > 0 && !stop.signal.aborted; ) {
      try {
        await readOnce()
        attempt = 0
      } catch (thrown) {
        // The looks report a Redis that is away, or not ready. A bug would else stay hidden.
        const error = asFailure(thrown)
        if (error.code === 'Internal' && !stop.signal.aborted) for (const key of [...idlePipelines.keys()]) refuse(key, error)
        await reader.hangUp()
        await pause(backoffMs(++attempt, reconnecting, clock.random()), stop.signal, clock.after)
      }
    }
    await reader.hangUp()
  }

  async function readOnce(): Promise<void> {
    const [first] = idlePipelines.values()
    if (first === undefined) return
    await reader.open(first.stream)
    const armed = new Map(idlePipelines)
    if (armed.size === 0) return
    incomplete = false
    const { woken, refused: failed } = await reader.read(armed)
    for (const key of woken) wake(key, armed)
    for (const [key, error] of failed) refuse(key, error)
  }

  function wake(key: string, armed: ReadonlyMap<string, IdlePipeline>): void {
    // The pipeline was looked at meanwhile, and that look saw any earlier entry. A later entry wakes it in the next read.
    if (idlePipelines.get(key) !== armed.get(key)) return
    if (idlePipelines.delete(key)) onWake(key)
  }

  function refuse(key: string, error: StreamPipelineError): void {
    idlePipelines.delete(key)
    refused.set(key, error)
  }

  /** Ends the read under way, so that the next one waits for the newcomers, too. */
  async function join(): Promise<void> {
    await pause(gatherMs, stop.signal, clock.after)
    for (let tries = 0; incomplete && reader.canEnd && tries < unblockTries && !stop.signal.aborted; tries++) {
      const [first] = idlePipelines.values()
      if (first !== undefined) await reader.end(first.stream)
      await pause(gatherMs, stop.signal, clock.after)
    }
  }

  return {
    set(key, idlePipeline) {
      if (refused.isFresh(key)) return
      refused.delete(key)
      const before = idlePipelines.get(key)
      // The read under way waits for this pipeline already, from an id at which the same entries wake it.
      if (before?.stream === idlePipeline.stream) return
      idlePipelines.set(key, idlePipeline)
      incomplete = true
      start()
      joining ??= join().finally(() => {
        joining = undefined
      })
    },
    unset(key) {
      idlePipelines.delete(key)
      refused.delete(key)
    },
    refusal: refused.get,
    get isEmpty() {
      return idlePipelines.size === 0 && refused.size === 0
    },
    async close() {
      stop.abort()
      idlePipelines.clear()
      refused.clear()
      await reader.hangUp()
      await Promise.all([running, joining])
    },
  }
}

/** Refused streams. They are tried again after a while, and meanwhile their pipelines wake at their looks. */
function createRefusals(clock: Pick<Clock, 'now'>) {
  const refused = new Map<string, { readonly error: StreamPipelineError; readonly atMs: number }>()
  return {
    get: (key: string) => refused.get(key)?.error,
    set: (key: string, error: StreamPipelineError) => void refused.set(key, { error, atMs: clock.now() }),
    isFresh(key: string): boolean {
      const atMs = refused.get(key)?.atMs
      return atMs !== undefined && clock.now() - atMs < retryRefusedMs
    },
    delete: (key: string) => void refused.delete(key),
    clear: () => refused.clear(),
    get size() {
      return refused.size
    },
  }
}
