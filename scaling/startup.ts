/** How long a requested replica takes until it works: learned from how long it took the ones before. */

export interface StartUp {
  /** Smoothed; undefined until one start was seen. */
  readonly typicalMs?: number
  /** Replicas asked for and not all ready yet. */
  readonly awaiting?: { readonly replicas: number; readonly sinceMs: number }
}

/** Until one was seen: a pod whose image is on the node. */
const assumedMs = 5_000
const longestMs = 300_000
/** A replica that takes this many times the usual is not starting but failing; growth does not wait for it. */
const patience = 3

export const startUpMs = (startUp: StartUp): number => startUp.typicalMs ?? assumedMs

/** Notes that awaited replicas became ready. */
export function learnStartUp(startUp: StartUp, ready: number, atMs: number): StartUp {
  const { awaiting, typicalMs } = startUp
  if (awaiting === undefined || ready < awaiting.replicas) return startUp
  const tookMs = Math.min(longestMs, Math.max(100, atMs - awaiting.sinceMs))
  return { typicalMs: typicalMs === undefined ? tookMs : (typicalMs + tookMs) / 2 }
}

/** Notes that replicas were asked for, or that fewer are now. */
export function awaitReplicas(startUp: StartUp, before: number, after: number, atMs: number): StartUp {
  if (after === before) return startUp
  const { awaiting: _, ...rest } = startUp
  return after > before ? { ...rest, awaiting: { replicas: after, sinceMs: atMs } } : rest
}

/** Whether replicas asked for are still on their way. */
export function isStarting(startUp: StartUp, atMs: number): boolean {
  return startUp.awaiting !== undefined && atMs - startUp.awaiting.sinceMs <= patience * startUpMs(startUp)
}
