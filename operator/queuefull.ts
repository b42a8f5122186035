/**
 * Whether consumers wait for the queue. They stop reading above `maxWaiting` and go on at four fifths of it. Between these two numbers
 * only their heartbeats show whether they wait.
 */
import type { Sample } from '../scaling/sample.ts'

export function isQueueFull({ queueWaiting, consumers }: Sample, maxWaiting: number): boolean {
  return queueWaiting >= maxWaiting || consumers.some(({ heartbeat }) => heartbeat?.state === 'Backpressured')
}
