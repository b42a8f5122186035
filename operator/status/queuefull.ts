/**
 * Whether consumers wait for the queue. They stop reading above `maxWaiting` and go on at four fifths of it, so that between the two
 * only they know: their heartbeats say so.
 */
import type { Sample } from '../../scaling/sample.ts'

export function isQueueFull({ queueWaiting, consumers }: Sample, maxWaiting: number): boolean {
  return queueWaiting >= maxWaiting || consumers.some(({ heartbeat }) => heartbeat?.state === 'Backpressured')
}
