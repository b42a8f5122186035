/** The alarms of all pipelines that sleep: one for each Redis at which any do, in a cluster one for each slot. */
import type { StreamPipelineError } from '../../api/errors.ts'
import type { Clock } from '../kubernetes/clock.ts'
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
}

export function createAlarms({ clock, onWake }: AlarmsParts): Alarms {
  const wards = new Map<string, Alarm>()
  /** In which ward a pipeline is. */
  const beds = new Map<string, string>()
  const closing = new Set<Promise<void>>()

  function awake(key: string): void {
    const ward = beds.get(key)
    if (ward === undefined) return
    beds.delete(key)
    const alarm = wards.get(ward)
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
      beds.set(key, ward)
      const alarm = wards.get(ward) ?? createAlarm({ clock, lease, onWake })
      wards.set(ward, alarm)
      alarm.set(key, sleeper)
    },
    awake,
    refusal(key) {
      const ward = beds.get(key)
      return ward === undefined ? undefined : wards.get(ward)?.refusal(key)
    },
    async close() {
      const all = [...wards.values()]
      wards.clear()
      beds.clear()
      await Promise.all([...all.map((alarm) => alarm.close()), ...closing])
    },
  }
}
