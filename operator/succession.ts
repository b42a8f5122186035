/**
 * The election of one release's leader. Each release has a Lease of its own. Earlier versions used one fixed name, so that two
 * releases in a namespace were one. During an upgrade both kinds of processes run, and no process may work beside an earlier
 * version's leader. So the process that holds its release's own Lease takes the fixed Lease too. It holds it for as long as a
 * rollout may last, and watches it from then on.
 *
 * Identities of this version end in `@` and the Lease of their release, so that releases of this version do not wait for each other:
 *
 *   own Lease held ──Absent, Peers──▶ leads ◀──held─┐            (Peers: another release of this version holds it)
 *                  ──Free, Predecessors─────────────┘──3 min──▶ leads, the fixed Lease let go
 *   leads ──Predecessors──▶ stops, and waits for it               (a rollback)
 *
 * A release whose own Lease has the fixed name needs none of this.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { Clock } from '../process/clock.ts'
import { pause, untilAborted } from '../process/pause.ts'
import { createElector, type Elector } from './kubernetes/elector.ts'
import { isFailure } from './kubernetes/errors.ts'
import { type Lease, leaseType } from './kubernetes/lease.ts'
import { resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'

/** The only name in earlier versions, and still the default. */
export const fixedLeaseName = 'streampipeline-operator'

/** The holder of the fixed Lease. */
type Place = 'Absent' | 'Free' | 'Ours' | 'Peers' | 'Predecessors'

interface SuccessionOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly namespace: string
  /** Name of this release's Lease. */
  readonly name: string
  readonly identity: string
  readonly holdMs?: number
  readonly onFailure: (error: StreamPipelineError) => void
  readonly onRewound: () => void
}

type Lead = Parameters<Elector['run']>[1]

const lookMs = 4_000
const longestRolloutMs = 180_000

export function createSuccession(options: SuccessionOptions): Elector {
  const { transport, clock, namespace, name, onFailure, holdMs = longestRolloutMs } = options
  const identity = `${options.identity}@${name}`
  const own = createElector({ ...options, identity })
  if (name === fixedLeaseName) return own
  const path = resourcePath(leaseType, namespace, fixedLeaseName)

  /** Undefined: the Lease could not be read. */
  async function look(signal: AbortSignal): Promise<Place | undefined> {
    try {
      const lease = (await transport.request({ method: 'GET', path, signal })) as Lease
      const holder = lease.spec?.holderIdentity ?? ''
      if (holder === '') return 'Free'
      const [, release] = holder.split('@')
      if (release === undefined) return 'Predecessors'
      return release === name ? 'Ours' : 'Peers'
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return 'Absent'
      if (!signal.aborted) onFailure(asFailure(thrown))
      return undefined
    }
  }

  /** Resolves when the place is `place`, or when the signal aborts. */
  async function becomes(place: Place, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(lookMs, signal, clock.after)
      if ((await look(signal)) === place) return
    }
  }

  /** Takes the fixed Lease, unless another release of this version does. `lost` aborts when the Lease is lost. */
  async function taken(stop: AbortSignal, hold: AbortSignal): Promise<{ lost: AbortSignal; released: Promise<void> }> {
    const until = AbortSignal.any([stop, hold])
    const waiting = new AbortController()
    const held = Promise.withResolvers<AbortSignal>()
    const fixed = createElector({ ...options, name: fixedLeaseName, identity })
    const giveUp = AbortSignal.any([until, waiting.signal])
    let isHeld = false
    const released = fixed.run(giveUp, async (ending, lost) => {
      isHeld = true
      held.resolve(lost)
      await untilAborted(ending)
    })
    const others = becomes('Peers', giveUp).then(() => {
      if (!isHeld) waiting.abort()
    })
    const lost = await Promise.race([held.promise, others.then(() => (isHeld ? held.promise : new AbortController().signal))])
    return { lost, released: Promise.all([released, others]).then(() => undefined) }
  }

  async function leadBeside(stop: AbortSignal, cut: AbortSignal, lead: Lead): Promise<void> {
    while (!stop.aborted) {
      const place = await look(stop)
      if (place === undefined) {
        await pause(lookMs, stop, clock.after)
        continue
      }
      const over = new AbortController()
      const hold = new AbortController()
      const isPeers = place === 'Absent' || place === 'Peers'
      const { lost, released } = isPeers ? { lost: over.signal, released: Promise.resolve() } : await taken(stop, hold.signal)
      const ending = AbortSignal.any([stop, over.signal])
      const cancel = clock.after(holdMs, () => hold.abort())
      const watched = place === 'Absent' ? Promise.resolve() : becomes('Predecessors', ending).then(() => over.abort())
      try {
        if (!stop.aborted) await lead(AbortSignal.any([ending, lost]), AbortSignal.any([cut, lost]))
      } finally {
        cancel()
        hold.abort()
        over.abort()
        await Promise.all([watched, released])
      }
    }
  }

  return { run: (stop, lead) => own.run(stop, (ending, cut) => leadBeside(ending, cut, lead)) }
}
