/**
 * Leader election over a Lease, as client-go does it. The holder renews the Lease every `retryMs`. A standby may take it after a whole
 * lease duration without a change. Only times of our own clock count, never those written in the Lease, so that skewed clocks cannot make
 * two leaders. The Lease gives no fencing. Hence a leader that has not renewed for `renewDeadlineMs` stops working well before another
 * may start.
 *
 *   Following ──taken──▶ Leading ──deadline or taken by another──▶ Following
 *                           └──stop──▶ (work ends, still renewing) ──▶ Released
 *
 * A watch wakes a standby when a leader releases the Lease, so a clean handover takes milliseconds. A crashed leader's Lease can be taken
 * one duration after its last renewal was seen.
 *
 * The Lease is renewed every other second, so it is the first to show that an etcd was restored from a backup. The version now read
 * is then older than one seen before (`onRewound`).
 */
import { asFailure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { pause } from '../../process/pause.ts'
import { isFailure } from './errors.ts'
import { claimed, type Lease, released, takeableInMs } from './lease.ts'
import { createLeaseView, type LeaseView } from './leaseview.ts'
import type { Transport } from './transport.ts'

interface ElectorOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly namespace: string
  readonly name: string
  /** Unique per process: pod name and something random. */
  readonly identity: string
  readonly leaseMs?: number
  readonly renewDeadlineMs?: number
  readonly retryMs?: number
  readonly onFailure?: (error: StreamPipelineError) => void
  /** The API server went back to an earlier state: anything seen before may no longer exist. */
  readonly onRewound?: () => void
}

export interface Elector {
  /**
   * Runs `lead` whenever this process holds the Lease, until `stop` aborts; then lets `lead` finish, releases and resolves.
   * `lead` gets two signals: `stop` asks for an orderly end, `cut` (the Lease is lost) for an immediate one.
   */
  run(stop: AbortSignal, lead: (stop: AbortSignal, cut: AbortSignal) => Promise<void>): Promise<void>
}

type Lead = Parameters<Elector['run']>[1]

const releaseMs = 2_000
const releaseRetryMs = 100

/** Defaults filled in, and the Lease as this process knows it. */
interface Candidate {
  readonly clock: Clock
  readonly lease: LeaseView
  readonly identity: string
  readonly renewDeadlineMs: number
  readonly retryMs: number
  readonly onFailure: (error: StreamPipelineError) => void
  /** Writes the Lease with us as its holder; creates it where there was none. */
  readonly claim: (before: Lease | undefined, signal: AbortSignal) => Promise<void>
}

export function createElector(options: ElectorOptions): Elector {
  const { transport, clock, namespace, name, identity } = options
  const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000, onFailure = () => {}, onRewound = () => {} } = options
  const lease = createLeaseView({ transport, clock, namespace, name, onRewound })
  const candidate: Candidate = {
    clock,
    lease,
    identity,
    renewDeadlineMs,
    retryMs,
    onFailure,
    claim: (before, signal) => lease.write(claimed(before, { namespace, name, identity, leaseMs }, clock.wall()), signal),
  }
  return { run: (stop, lead) => elect(candidate, stop, lead) }
}

async function elect(candidate: Candidate, stop: AbortSignal, lead: Lead): Promise<void> {
  const { clock, lease, renewDeadlineMs, onFailure } = candidate
  const closing = new AbortController()
  let wake = () => {}
  const watched = lease.watch(closing.signal, () => wake())
  /** A claim succeeded, or its answer was lost. */
  let mayHold = false
  try {
    while (!stop.aborted) {
      const startedMs = clock.now()
      let acquired = false
      try {
        acquired = await acquire(candidate, stop)
        mayHold ||= acquired
      } catch (thrown) {
        mayHold = true
        if (stop.aborted) break
        onFailure(asFailure(thrown))
      }
      // A claim whose answer came too late begins no term: the term counts from before the request was sent.
      if (acquired && clock.now() < startedMs + renewDeadlineMs) {
        await serve(candidate, startedMs, stop, lead)
        continue
      }
      const nudge = new AbortController()
      wake = () => {
        if (lease.seen !== undefined && takeableInMs(lease.seen, clock.now()) === 0) nudge.abort()
      }
      await pause(nextTryInMs(candidate), AbortSignal.any([stop, nudge.signal]), clock.after)
    }
  } finally {
    wake = () => {}
    if (mayHold) await release(candidate)
    closing.abort()
    await watched
  }
}

/**
 * A standby waits for the end of a Lease without jitter: of two that come at once, the server refuses one. If the Lease can be
 * taken already, this process has just tried in vain, and waits with jitter.
 */
function nextTryInMs({ clock, lease, retryMs }: Candidate): number {
  const expiresMs = lease.seen === undefined ? 0 : takeableInMs(lease.seen, clock.now())
  const retry = retryMs * (1 + clock.random() / 5)
  return expiresMs > 0 ? Math.min(retry, expiresMs + 1) : retry
}

/** True when the Lease is ours now. Losing a race is not a failure. */
async function acquire({ clock, lease, identity, claim }: Candidate, signal: AbortSignal): Promise<boolean> {
  const read = await lease.read(signal)
  const isMine = read?.spec?.holderIdentity === identity
  if (read !== undefined && !isMine && lease.seen !== undefined && takeableInMs(lease.seen, clock.now()) > 0) return false
  try {
    await claim(read, signal)
    return true
  } catch (thrown) {
    if (!isFailure(thrown, 'KubernetesConflict')) throw thrown
    // Changed meanwhile; or the known version is of a time after the one to which the server was restored.
    if (lease.seen?.lease === read) lease.distrust()
    return false
  }
}

/** One term: works while the Lease is renewed. */
async function serve(candidate: Candidate, acquiredAtMs: number, stop: AbortSignal, lead: Lead): Promise<void> {
  const cut = new AbortController()
  const finished = new AbortController()
  const work = lead(AbortSignal.any([stop, cut.signal]), cut.signal).finally(() => finished.abort())
  const kept = keep(candidate, acquiredAtMs, finished.signal).then((held) => {
    if (!held) cut.abort()
  })
  await Promise.all([work, kept])
}

/** Renews until `until` aborts (true) or the Lease is lost (false). */
async function keep(candidate: Candidate, acquiredAtMs: number, until: AbortSignal): Promise<boolean> {
  const { clock, lease, identity, renewDeadlineMs, retryMs, onFailure, claim } = candidate
  let renewedAtMs = acquiredAtMs
  while (!until.aborted) {
    // Checked before and after the wait: a process that was frozen must stop acting as soon as it wakes.
    if (clock.now() >= renewedAtMs + renewDeadlineMs) return false
    await pause(Math.min(retryMs, renewedAtMs + renewDeadlineMs - clock.now()), until, clock.after)
    if (until.aborted) break
    const startedMs = clock.now()
    const remainingMs = renewedAtMs + renewDeadlineMs - startedMs
    if (remainingMs <= 0) return false
    const deadline = new AbortController()
    const cancel = clock.after(remainingMs, () => deadline.abort())
    try {
      if (lease.seen === undefined || lease.seen.lease.spec?.holderIdentity !== identity) {
        const read = await lease.read(deadline.signal)
        if (read !== undefined && read.spec?.holderIdentity !== identity) return false
      }
      await claim(lease.seen?.lease, deadline.signal)
      renewedAtMs = startedMs
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesConflict')) lease.distrust()
      if (!deadline.signal.aborted) onFailure(asFailure(thrown))
    } finally {
      cancel()
    }
  }
  return true
}

/**
 * Best effort for two seconds: without it the others wait for the Lease's duration. An interrupted write may have arrived. The next
 * write then meets a conflict, and another read of the Lease decides.
 */
async function release({ clock, lease, identity, onFailure }: Candidate): Promise<void> {
  const deadline = new AbortController()
  const cancel = clock.after(releaseMs, () => deadline.abort())
  let failed: StreamPipelineError | undefined
  try {
    while (!deadline.signal.aborted && failed?.retryable !== false) {
      try {
        const held = lease.seen?.lease ?? (await lease.read(deadline.signal))
        if (held?.spec?.holderIdentity === identity) await lease.write(released(held, clock.wall()), deadline.signal)
        return
      } catch (thrown) {
        failed = asFailure(thrown)
        if (failed.code === 'KubernetesConflict') lease.distrust()
      }
      await pause(releaseRetryMs, deadline.signal, clock.after)
    }
    // Once: twenty attempts for one reason are one failure.
    if (failed !== undefined) onFailure(failed)
  } finally {
    cancel()
  }
}
