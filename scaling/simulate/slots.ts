/** The slots of all replicas as a binary heap by the time each is free: entries go, in order, to whichever is free first. */
import type { Pod } from './pods.ts'

export interface Slots {
  readonly pod: Pod[]
  /** When it is (or was) free. */
  readonly freeAt: number[]
  /** Index of the entry it works or last worked on; −1 before the first. */
  readonly entry: number[]
  /** What that entry takes; negative once its end was counted. */
  readonly took: number[]
  readonly heap: number[]
}

export const createSlots = (): Slots => ({ pod: [], freeAt: [], entry: [], took: [], heap: [] })

export function addSlot(slots: Slots, pod: Pod, at: number): number {
  const id = slots.pod.push(pod) - 1
  slots.freeAt.push(at)
  slots.entry.push(-1)
  slots.took.push(-1)
  slots.heap.push(id)
  siftUp(slots, slots.heap.length - 1)
  return id
}

function siftUp({ heap, freeAt }: Slots, from: number): void {
  let i = from
  const id = heap[i] as number
  const key = freeAt[id] as number
  while (i > 0) {
    const up = (i - 1) >> 1
    const other = heap[up] as number
    if ((freeAt[other] as number) <= key) break
    heap[i] = other
    i = up
  }
  heap[i] = id
}

/** After the first slot's time grew. */
export function siftDown({ heap, freeAt }: Slots, from = 0): void {
  const count = heap.length
  let i = from
  const id = heap[i] as number
  const key = freeAt[id] as number
  for (;;) {
    let down = 2 * i + 1
    if (down >= count) break
    if (down + 1 < count && (freeAt[heap[down + 1] as number] as number) < (freeAt[heap[down] as number] as number)) down++
    const other = heap[down] as number
    if ((freeAt[other] as number) >= key) break
    heap[i] = other
    i = down
  }
  heap[i] = id
}

export function dropFirst(slots: Slots): void {
  const last = slots.heap.pop() as number
  if (slots.heap.length === 0) return
  slots.heap[0] = last
  siftDown(slots)
}

/** After many times changed at once. */
export function rebuild(slots: Slots): void {
  for (let i = (slots.heap.length >> 1) - 1; i >= 0; i--) siftDown(slots, i)
}
