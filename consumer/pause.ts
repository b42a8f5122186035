/** Waits `ms`, or until `signal` aborts: which of the two it was is for the caller to ask the signal. */
import { setTimeout as sleep } from 'node:timers/promises'

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(ignoreAbort)
}

function ignoreAbort() {}
