/**
 * Answers of the API server and failures of the network, normalised once. The server's `Status` object carries a machine-readable
 * `reason`; the HTTP code is the fallback where a proxy in between answered instead.
 */
import { failure, StreamPipelineError } from '../../api/errors.ts'

interface Status {
  readonly reason?: string
  readonly message?: string
  readonly code?: number
  readonly details?: { readonly retryAfterSeconds?: number; readonly causes?: readonly { readonly reason?: string }[] }
}

/** The pause that an answer asked for, by its error. */
const pauses = new WeakMap<StreamPipelineError, number>()

/** A proxy, or an admission webhook, may ask for any pause. A timer beyond 24 days would fire at once. */
const longestPauseSeconds = 600

/** The pause that the API server asked for, by `Retry-After` or in its Status: ten minutes at most. */
export function retryAfterMs(error: StreamPipelineError): number | undefined {
  return pauses.get(error)
}

function asStatus(body: unknown): Status {
  return typeof body === 'object' && body !== null ? (body as Status) : {}
}

/**
 * @param code HTTP code, or the code inside a Status that a watch delivered
 * @param body the parsed body, if it was JSON
 * @param operation for people: `PATCH deployments/ndvi-consumer`
 * @param retryAfterSeconds of the header `Retry-After`
 */
export function statusFailure(
  code: number,
  body: unknown,
  operation: string,
  retryAfterSeconds: number | undefined = asStatus(body).details?.retryAfterSeconds,
): StreamPipelineError {
  const error = normalised(code, body, operation)
  if (Number.isFinite(retryAfterSeconds)) {
    pauses.set(error, Math.max(0, Math.min(longestPauseSeconds, Number(retryAfterSeconds))) * 1000)
  }
  return error
}

function normalised(code: number, body: unknown, operation: string): StreamPipelineError {
  const status = asStatus(body)
  const detail = status.message ?? `HTTP ${code}`
  // The code and the reason are those of a missing right, but no right would help.
  if (status.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') === true)
    return failure('NamespaceTerminating', { operation, detail }, body)
  switch (status.reason) {
    case 'NotFound':
      return failure('KubernetesNotFound', { subject: operation, detail }, body)
    case 'AlreadyExists':
    case 'Conflict':
      return failure('KubernetesConflict', { subject: operation, detail }, body)
    case 'Expired':
    case 'Gone':
      return failure('KubernetesExpired', { detail }, body)
    case 'Forbidden':
      return failure('KubernetesForbidden', { detail }, body)
    case 'Unauthorized':
      return failure('KubernetesUnauthorized', { detail }, body)
    case 'TooManyRequests':
    case 'ServiceUnavailable':
    case 'ServerTimeout':
    case 'Timeout':
    case 'InternalError':
      return failure('KubernetesBusy', { detail }, body)
    default:
      return byCode(code, detail, operation, body)
  }
}

function byCode(code: number, detail: string, operation: string, body: unknown): StreamPipelineError {
  if (code === 404) return failure('KubernetesNotFound', { subject: operation, detail }, body)
  if (code === 409) return failure('KubernetesConflict', { subject: operation, detail }, body)
  if (code === 410) return failure('KubernetesExpired', { detail }, body)
  if (code === 403) return failure('KubernetesForbidden', { detail }, body)
  if (code === 401) return failure('KubernetesUnauthorized', { detail }, body)
  if (code === 429 || code >= 500) return failure('KubernetesBusy', { detail }, body)
  return failure('KubernetesRefused', { operation, detail }, body)
}

/** Socket, TLS and undici errors; an abort by the caller's own signal passes through untouched. */
export function networkFailure(thrown: unknown, server: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true || thrown instanceof StreamPipelineError) return thrown
  const detail = thrown instanceof Error ? describe(thrown) : String(thrown)
  return failure('KubernetesUnreachable', { detail: `${server}: ${detail}` }, thrown)
}

function describe(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code
  const text = error.message === '' && error instanceof AggregateError ? error.errors.map(String).join('; ') : error.message
  return typeof code === 'string' && !text.includes(code) ? `${text} (${code})` : text
}

/** True when the error is the API server's (or the network's) with that code. */
export function isFailure(thrown: unknown, code: StreamPipelineError['code']): boolean {
  return thrown instanceof StreamPipelineError && thrown.code === code
}
