/**
 * Sorts an error that a loop caught. A failure of Redis is a state of the consumer, which waits it out. Anything else is a bug of
 * ours, and is thrown on. A bug ends the process. If one entry provokes it, the isolation of deadly entries makes that entry a dead
 * letter. Waiting would stop the pipeline for good.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { Lifecycle } from './lifecycle.ts'

export function backendFailure(thrown: unknown): StreamPipelineError {
  const failure = asFailure(thrown)
  if (failure.code === 'Internal') throw failure
  return failure
}

/** Does `work`; what Redis refuses becomes the state BackendDown, a bug is thrown on. */
export async function guarded(lifecycle: Lifecycle, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    lifecycle.backendFailed(backendFailure(thrown))
  }
}
