/** The alarms of all pipelines that sleep: one for each Redis at which any do, in a cluster one for each slot. */
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../../process/clock.ts'
import { splitKey } from '../kubernetes/objects.ts'
import { type Alarm, createAlarm } from './alarm.ts'
import type { RedisLease } from './connections.ts'
import { type Sleeper, wardOf } from './sleepers.ts'

export interface Alarms {
  /** It was found asleep; to be said after each look that finds it so. */
  sleeps(key: string, lease: RedisLease, sleeper: Sleeper): void
  awake(key: string): void
  /** Why an entry does not wake it at once. */
  refusal(key: string): StreamPipelineError | undefined
  /** Idempotent. */
  close(): Promise<void>
}

interface AlarmsParts {
  readonly clock: Clock
  /** An entry came that is new to it. */
  readonly onWake: (key: string) => void
  /** Most reads of one namespace. */
  readonly most?: number
}

/** Blocking reads of one namespace, each with a connection of its own. */
const mostOfNamespace = 256

export function createAlarms({ clock, onWake, most = mostOfNamespace }: AlarmsParts): Alarms {
  const wards = new Map<string, { readonly alarm: Alarm; readonly namespace: string }>()
  /** In which ward a pipeline is. */
  const beds = new Map<string, string>()
  /** Pipelines beyond the limit of their namespace. */
  const refused = new Map<string, StreamPipelineError>()
  const closing = new Set<Promise<void>>()

  /** The reads that this namespace's pipelines began. Another namespace may share one of them. */
  function isFull(namespace: string): boolean {
    let count = 0
    for (const ward of wards.values()) if (ward.namespace === namespace) count += 1
    return count >= most
  }

  function awake(key: string): void {
    refused.delete(key)
    const ward = beds.get(key)
    if (ward === undefined) return
    beds.delete(key)
    const alarm = wards.get(ward)?.alarm
    alarm?.unset(key)
    if (alarm?.isEmpty !== true || [...beds.values()].includes(ward)) return
    wards.delete(ward)
    const closed = alarm.close().finally(() => closing.delete(closed))
    closing.add(closed)
  }

  return {
    sleeps(key, lease, sleeper) {
      const ward = wardOf(lease.id, lease.address.kind, sleeper.stream)
      if (beds.get(key) !== ward) awake(key)
      const { namespace } = splitKey(key)
      const held = wards.get(ward)
      if (held === undefined && isFull(namespace)) {
        refused.set(key, failure('ConnectionLimit', { namespace, limit: String(most) }))
        return
      }
      refused.delete(key)
      beds.set(key, ward)
      const alarm = held?.alarm ?? createAlarm({ clock, lease, onWake })
      if (held === undefined) wards.set(ward, { alarm, namespace })
      alarm.set(key, sleeper)
    },
    awake,
    refusal(key) {
      const ward = beds.get(key)
      return ward === undefined ? refused.get(key) : wards.get(ward)?.alarm.refusal(key)
    },
    async close() {
      const all = [...wards.values()]
      wards.clear()
      beds.clear()
      refused.clear()
      await Promise.all([...all.map(({ alarm }) => alarm.close()), ...closing])
    },
  }
}
