/** Errors without a listener become Node's warnings, which an application sees on standard error. */
import type { StreamPipelineError } from '../api/errors.ts'

export function warn(error: StreamPipelineError): void {
  process.emitWarning(error.advice, { type: 'StreamPipelineWarning', code: error.code })
}
