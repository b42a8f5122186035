/**
 * Carries out the plan of one pipeline, unless it holds already or is not due.
 *
 * A plan without a failure is remembered by its fingerprint (`settled`). While that stays, there is nothing to do. Failures make a setback, which
 * sets the time of the next attempt.
 */
import type { Clock } from '../process/clock.ts'
import type { Caches } from './caches.ts'
import type { Execute } from './execute.ts'
import { childrenOf } from './gather.ts'
import { type KubernetesObject, keyOf } from './kubernetes/objects.ts'
import type { Observed } from './plan/observed.ts'
import { fingerprintOf, plan, type Target } from './plan/plan.ts'
import { type PipelineRecord, templateFound } from './record.ts'
import { isDue, setbackOf, startedAnew } from './setback.ts'

interface SettleParts {
  readonly clock: Pick<Clock, 'now' | 'random'>
  readonly caches: Caches
  readonly execute: Execute
  readonly retryEveryMs: number
}

/** Whether an attempt was made. At rest: the plan holds already, or is not due. */
export type Settling = 'Tried' | 'AtRest'

/** @param target undefined: the children are left alone */
type Settle = (
  key: string,
  record: PipelineRecord,
  observed: Observed,
  target: Target | undefined,
  signal: AbortSignal,
) => Promise<Settling>

export function createSettle({ clock, caches, execute, retryEveryMs }: SettleParts): Settle {
  return async (key, record, observed, target, signal) => {
    const fingerprint = target && fingerprintOf(observed, target)
    if (target === undefined || record.settled === fingerprint) {
      delete record.setback
      return 'AtRest'
    }
    const last = record.setback
    if (!isDue(last, fingerprint ?? '', clock.now())) return 'AtRest'
    const before = last === undefined || last.fingerprint === fingerprint ? last : startedAnew(last, clock.now(), retryEveryMs)
    delete record.settled
    const { failures, written, template } = await execute(plan(observed, target), target, observed, signal)
    record.template = template ?? record.template ?? templateFound(observed.deployment)
    // The fingerprint uses objects as found and as written. A later change by another writer makes another fingerprint.
    const children = asWritten(observed.children, written)
    const tried = fingerprintOf({ ...observed, children }, target)
    if (failures.length > 0) {
      const now = clock.now()
      record.setback = setbackOf(before, { failures, fingerprint: tried }, now, retryEveryMs, clock.random())
      return 'Tried'
    }
    delete record.setback
    record.settled = tried
    for (const child of childrenOf(caches, key)) caches.children.get(child.kind ?? '')?.trim(keyOf(child))
    return 'Tried'
  }
}

/** The children found, with the written objects in place of their earlier versions. */
function asWritten(
  children: readonly KubernetesObject[],
  written: ReadonlyMap<string, KubernetesObject>,
): readonly KubernetesObject[] {
  const left = children.filter(({ metadata }) => !written.has(metadata.uid ?? ''))
  return [...left, ...written.values()]
}
