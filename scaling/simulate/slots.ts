/**
 * The slots of all replicas as a heap (of four children each), by the time at which each is free. Entries go, in order, to the slot
 * that is free first. This is the innermost loop of the simulator, run for each entry under each controller. So it has typed
 * arrays, and the heap carries its keys with it.
 */
import type { Pod } from './pods.ts'

export interface Slots {
  /** Slots there ever were; they are numbered from zero. */
  count: number
  readonly pod: Pod[]
  /** When it is (or was) free. */
  freeAt: Float64Array
  /** Index of the entry it works or last worked on; −1 before the first. */
  entry: Int32Array
  /** The time that entry takes; negative once its end was counted. */
  took: Float64Array
  /** Slots in the heap, of those that `heap` and `keys` have room for. */
  size: number
  heap: Int32Array
  keys: Float64Array
}

const firstRoom = 256

export const createSlots = (): Slots => ({
  count: 0,
  pod: [],
  freeAt: new Float64Array(firstRoom),
  entry: new Int32Array(firstRoom),
  took: new Float64Array(firstRoom),
  size: 0,
  heap: new Int32Array(firstRoom),
  keys: new Float64Array(firstRoom),
})

function grown<T extends Float64Array | Int32Array>(array: T, into: T): T {
  into.set(array)
  return into
}

function makeRoom(slots: Slots): void {
  const room = 2 * slots.freeAt.length
  slots.freeAt = grown(slots.freeAt, new Float64Array(room))
  slots.entry = grown(slots.entry, new Int32Array(room))
  slots.took = grown(slots.took, new Float64Array(room))
  slots.heap = grown(slots.heap, new Int32Array(room))
  slots.keys = grown(slots.keys, new Float64Array(room))
}

export function addSlot(slots: Slots, pod: Pod, at: number): number {
  if (slots.count === slots.freeAt.length) makeRoom(slots)
  const id = slots.count++
  slots.pod.push(pod)
  slots.freeAt[id] = at
  slots.entry[id] = -1
  slots.took[id] = -1
  siftUp(slots, slots.size++, id, at)
  return id
}

function siftUp({ heap, keys }: Slots, from: number, id: number, key: number): void {
  let i = from
  while (i > 0) {
    const up = (i - 1) >> 2
    if ((keys[up] as number) <= key) break
    heap[i] = heap[up] as number
    keys[i] = keys[up] as number
    i = up
  }
  heap[i] = id
  keys[i] = key
}

function siftDown({ heap, keys, size }: Slots, from: number, id: number, key: number): void {
  let i = from
  for (;;) {
    const first = 4 * i + 1
    if (first >= size) break
    const last = Math.min(first + 4, size)
    let down = first
    let least = keys[first] as number
    for (let child = first + 1; child < last; child++) {
      const other = keys[child] as number
      if (other < least) {
        least = other
        down = child
      }
    }
    if (least >= key) break
    heap[i] = heap[down] as number
    keys[i] = least
    i = down
  }
  heap[i] = id
  keys[i] = key
}

/** The first slot is free at another, later time. */
export function putBackFirst(slots: Slots, freeAt: number): void {
  const id = slots.heap[0] as number
  slots.freeAt[id] = freeAt
  siftDown(slots, 0, id, freeAt)
}

export function dropFirst(slots: Slots): void {
  const last = --slots.size
  if (last > 0) siftDown(slots, 0, slots.heap[last] as number, slots.keys[last] as number)
}

/** After times changed in any way. */
export function rebuild(slots: Slots): void {
  for (let i = 0; i < slots.size; i++) slots.keys[i] = slots.freeAt[slots.heap[i] as number] as number
  for (let i = (slots.size - 2) >> 2; i >= 0; i--) siftDown(slots, i, slots.heap[i] as number, slots.keys[i] as number)
}
