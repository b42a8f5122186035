/**
 * What a loop caught: a failure of Redis is a state of the consumer, to be waited out; anything else is a defect of ours, and is
 * thrown on. It ends the process, which is what the isolation of entries that kill theirs is made for: a defect that one entry
 * provokes ends as that entry's dead letter, while waiting it out would stop the pipeline for good.
 */
import { asFailure, type StreamPipelineError } from '../api/errors.ts'
import type { Lifecycle } from './lifecycle.ts'

export function backendFailure(thrown: unknown): StreamPipelineError {
  const failure = asFailure(thrown)
  if (failure.code === 'Internal') throw failure
  return failure
}

/** Does `work`; what Redis refuses becomes the state BackendDown, a defect is thrown on. */
export async function guarded(lifecycle: Lifecycle, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (thrown) {
    lifecycle.backendFailed(backendFailure(thrown))
  }
}
