/** How long a requested replica takes until it works: learned from how long it took the ones before. */

export interface StartUp {
  /** Smoothed; undefined until one start was seen. */
  readonly typicalMs?: number
  readonly awaiting?: Awaiting
}

/** Replicas asked for and not all ready yet. */
interface Awaiting {
  readonly replicas: number
  readonly sinceMs: number
  /** They were asked for before `sinceMs`, at an unknown time, so their start teaches nothing. */
  readonly begunBefore?: true
}

/** Until one was seen: a pod whose image is on the node. */
const assumedMs = 5_000
/** A longer start counts as one of this length. */
export const longestStartMs = 300_000
/** A replica that takes this many times the usual is not starting but failing; growth does not wait for it. */
const patience = 3

export const startUpMs = (startUp: StartUp): number => startUp.typicalMs ?? assumedMs

/**
 * Notes that awaited replicas became ready, or that none of the running ones is ready. @param running replicas that should be ready
 * by and by
 */
export function learnStartUp(startUp: StartUp, ready: number, running: number, atMs: number): StartUp {
  const { awaiting, typicalMs } = startUp
  if (awaiting === undefined) return ready > 0 || running === 0 ? startUp : { ...startUp, awaiting: found(running, atMs) }
  if (ready < awaiting.replicas) return startUp
  const { awaiting: _, ...rest } = startUp
  if (awaiting.begunBefore) return rest
  const tookMs = Math.min(longestStartMs, Math.max(100, atMs - awaiting.sinceMs))
  return { typicalMs: typicalMs === undefined ? tookMs : (typicalMs + tookMs) / 2 }
}

/** Replicas that are not ready, and began at an unknown time. */
export function found(replicas: number, sinceMs: number): Awaiting {
  return { replicas, sinceMs, begunBefore: true }
}

/** Notes that more replicas were requested, or that the request was lowered. */
export function awaitReplicas(startUp: StartUp, before: number, after: number, atMs: number): StartUp {
  if (after === before) return startUp
  const { awaiting: _, ...rest } = startUp
  return after > before ? { ...rest, awaiting: { replicas: after, sinceMs: atMs } } : rest
}

/** Whether replicas asked for are still on their way. */
export function isStarting({ awaiting, ...startUp }: StartUp, atMs: number): boolean {
  return awaiting !== undefined && !awaiting.begunBefore && atMs - awaiting.sinceMs <= patienceMs(startUp)
}

/** How long nothing has been ready, where that is longer than a start takes; undefined: something is ready, or may soon be. */
export function stuckMs(startUp: StartUp, ready: number, atMs: number): number | undefined {
  const { awaiting } = startUp
  if (ready > 0 || awaiting === undefined) return undefined
  const forMs = atMs - awaiting.sinceMs
  return forMs > patienceMs(startUp) ? forMs : undefined
}

const patienceMs = (startUp: StartUp): number => patience * startUpMs(startUp)
