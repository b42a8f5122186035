/** Times of a worker that a test stops. */

export const lockTtlMs = 3_000

/** BullMQ's lock of a job ends as early as the execution lock, and a check finds it at once. */
export const stallsSoon = { lockDuration: lockTtlMs, stalledInterval: 200, maxStalledCount: 100 } as const

/** Where handlers write what may be written once only. */
export const recordsKey = (queue: string) => `records:${queue}`
