/**
 * The consumer processes of one pipeline: started, restarted with back-off, and drained newest first when the wanted number
 * falls.
 *
 * A name is a slot (`ndvi-1`, `ndvi-2`, …), and a restarted process keeps it. In the group the name also has the run's tag
 * (`ndvi-1-4f0c2a`). Another run has slots of the same numbers, and two processes of one name would renew and settle each other's
 * entries.
 */
import type { ReplicaState } from './replicastates.ts'
import { createSlot, type Slot, type SlotOptions } from './slot.ts'

interface FleetOptions extends SlotOptions {
  /** Pipeline's name: slots become `<name>-<number>`. */
  readonly name: string
  /** Distinguishes names of this run in the group; absent where no other run is possible. */
  readonly tag?: string
}

export interface Replica {
  readonly name: string
  readonly uid: string
  readonly state: ReplicaState
}

export interface Fleet {
  /** Those not stopped, oldest first. */
  replicas(): readonly Replica[]
  /** Starts or drains so that `wanted` processes run; draining ones don't count. */
  scaleTo(wanted: number): void
  /** The process with this uid takes entries. */
  markReady(uid: string): void
  /** Drains all; resolves when every process has ended. Idempotent. */
  stop(): Promise<void>
  /** Kills all at once, and starts none again. */
  kill(): void
}

export function createFleet(options: FleetOptions): Fleet {
  /** Each with the end of its supervision. */
  const slots = new Map<Slot, Promise<void>>()
  let killed = false

  function start(): void {
    const taken = new Set([...slots.keys()].map((slot) => slot.number))
    let number = 1
    while (taken.has(number)) number++
    const consumer = [options.name, number, ...(options.tag === undefined ? [] : [options.tag])].join('-')
    const slot = createSlot(options, number, `${options.name}-${number}`, consumer)
    slots.set(
      slot,
      slot.run().then(() => void slots.delete(slot)),
    )
  }

  const wantedNow = () => [...slots.keys()].filter(({ state }) => state.kind !== 'Draining' && state.kind !== 'Stopped')

  return {
    replicas: () => [...slots.keys()].map(({ name, uid, state }) => ({ name, uid, state })),
    scaleTo(wanted) {
      if (killed) return
      const present = wantedNow()
      for (let i = present.length; i < wanted; i++) start()
      for (const slot of victims(present, present.length - wanted)) slot.drain()
    },
    markReady(uid) {
      for (const slot of slots.keys()) if (slot.uid === uid) slot.markReady()
    },
    async stop() {
      for (const slot of wantedNow()) slot.drain()
      await Promise.all(slots.values())
    },
    kill() {
      killed = true
      for (const slot of slots.keys()) slot.kill()
    },
  }
}

/** Newest first. One that is backing off goes last: its entries are in its pending list, which it reads after its restart. */
function victims(present: readonly Slot[], count: number): readonly Slot[] {
  if (count <= 0) return []
  const order = present
    .toReversed()
    .toSorted((a, b) => Number(a.state.kind === 'BackingOff') - Number(b.state.kind === 'BackingOff'))
  return order.slice(0, count)
}
