/**
 * The election of one release's leader. Each release has a Lease of its own; earlier versions used one fixed name, so that two
 * releases in a namespace were one. During an upgrade both kinds of processes run: whoever leads now holds the fixed Lease too, as
 * long as there is one, and so neither an earlier version's leader works beside it nor one that comes back by a rollback.
 *
 * Two releases of this version must not wait for each other there. A holder of this version is known by its identity, which ends
 * in `@` and its release's Lease. While it is another release's, no earlier version leads, and nobody need wait:
 *
 *   own Lease held ──▶ Absent ──▶ leads
 *                  ──▶ Ours (free, an earlier version's, or our own) ──held──▶ leads
 *                  ──▶ Peers (another release's of this version) ──▶ leads; goes on as Ours when that lets go
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import { pause } from '../process/pause.ts'
import type { Clock } from './kubernetes/clock.ts'
import { createElector, type Elector, type Lease, leaseType } from './kubernetes/elector.ts'
import { isFailure } from './kubernetes/errors.ts'
import { resourcePath } from './kubernetes/objects.ts'
import type { Transport } from './kubernetes/transport.ts'

/** The one name of earlier versions; the default still. */
export const fixedLeaseName = 'streampipeline-operator'

type Place = 'Absent' | 'Ours' | 'Peers'

interface SuccessionOptions {
  readonly transport: Transport
  readonly clock: Clock
  readonly namespace: string
  /** Of this release's Lease. */
  readonly name: string
  readonly identity: string
  readonly onFault: (error: StreamPipelineError) => void
  readonly onRewound: () => void
}

const lookMs = 4_000

export function createSuccession({ name, identity, ...options }: SuccessionOptions): Elector {
  const { transport, clock, namespace, onFault } = options
  const own = createElector({ ...options, name, identity })
  if (name === fixedLeaseName) return own
  const path = resourcePath(leaseType, namespace, fixedLeaseName)
  const ourselves = `${identity}@${name}`

  async function place(signal: AbortSignal): Promise<Place> {
    try {
      const lease = (await transport.request({ method: 'GET', path, signal })) as Lease
      const [, release] = (lease.spec?.holderIdentity ?? '').split('@')
      return release === undefined || release === name ? 'Ours' : 'Peers'
    } catch (thrown) {
      if (isFailure(thrown, 'KubernetesNotFound')) return 'Absent'
      throw thrown
    }
  }

  /** Resolves when it is another place, or when the signal aborts. */
  async function changed(from: Place, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(lookMs, signal, clock.after)
      const now = await placed(signal)
      if (now !== undefined && now !== from) return
    }
  }

  async function placed(signal: AbortSignal): Promise<Place | undefined> {
    try {
      return await place(signal)
    } catch (thrown) {
      if (!signal.aborted) onFault(asFailure(thrown))
      return undefined
    }
  }

  async function leadBeside(stop: AbortSignal, cut: AbortSignal, lead: Parameters<Elector['run']>[1]): Promise<void> {
    while (!stop.aborted) {
      const at = await placed(stop)
      if (at === undefined) {
        await pause(lookMs, stop, clock.after)
        continue
      }
      if (at === 'Absent') return await lead(stop, cut)
      const turn = new AbortController()
      const until = AbortSignal.any([stop, turn.signal])
      const looking = changed(at, until).then(() => turn.abort())
      if (at === 'Peers') await lead(until, cut)
      else {
        const fixed = createElector({ ...options, name: fixedLeaseName, identity: ourselves })
        await fixed.run(until, (ending, lost) => lead(ending, AbortSignal.any([cut, lost])))
      }
      turn.abort()
      await looking
    }
  }

  return { run: (stop, lead) => own.run(stop, (ending, cut) => leadBeside(ending, cut, lead)) }
}
