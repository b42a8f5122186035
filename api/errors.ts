/**
 * The one class of errors. Every failure that a person can meet has one entry in the catalogue (errorcatalogue.ts). The entry has a
 * stable code, a message, the condition reason and the remedy. It also says whether a retry can help. Foreign errors are Redis replies, Kubernetes Status
 * objects and Node's system errors. Each becomes one of these once, at the edge, with `cause` set. All other code branches on
 * `code` and `retryable`, never on text. Codes are never reused once retired.
 *
 * A parameter may be text from outside: a server's reply, a key, another program's error. It is made printable and bounded here. Every
 * message is therefore safe wherever it goes.
 */
import { errorCatalogue } from './errorcatalogue.ts'
import { mostDetail, mostMessage, printable, printableName } from './printable.ts'

export { errorCatalogue } from './errorcatalogue.ts'

export type ErrorCode = keyof typeof errorCatalogue

type Placeholders<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Placeholders<Rest> : never
/** The parameters an entry's message and remedy need, read off the templates by the compiler. */
type ErrorParameters<C extends ErrorCode> = {
  readonly [K in Placeholders<(typeof errorCatalogue)[C]['message']> | Placeholders<(typeof errorCatalogue)[C]['remedy']>]: string
}

function fill(template: string, parameters: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => parameters[name] ?? `{${name}}`)
}

/** Parameters that are names, and are cut. Keys of Redis stay whole: a person types the whole key to read or delete it. */
const nameParameters: ReadonlySet<string> = new Set(['job', 'queue', 'stream', 'name', 'owner'])

function shown(name: string, value: string): string {
  if (nameParameters.has(name)) return printableName(value)
  return printable(value, name === 'problems' ? mostMessage : mostDetail)
}

/** The only error class this project throws. */
export class StreamPipelineError extends Error {
  readonly code: ErrorCode
  readonly parameters: Readonly<Record<string, string>>
  override readonly name = 'StreamPipelineError'

  constructor(code: ErrorCode, parameters: Readonly<Record<string, string>>, cause?: unknown) {
    const safe = Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, shown(name, value)]))
    super(printable(fill(errorCatalogue[code].message, safe), mostMessage), cause === undefined ? undefined : { cause })
    this.code = code
    this.parameters = safe
  }

  /** True if the same call may succeed later without a change by the caller. */
  get retryable(): boolean {
    return errorCatalogue[this.code].kind === 'Retryable'
  }

  /** Reason of the Kubernetes condition. */
  get reason(): string {
    return errorCatalogue[this.code].reason
  }

  get remedy(): string {
    return printable(fill(errorCatalogue[this.code].remedy, this.parameters), mostMessage)
  }

  /** Message and remedy, as conditions, logs and the CLI show them. */
  get advice(): string {
    return `${this.message}. ${this.remedy[0]?.toUpperCase() ?? ''}${this.remedy.slice(1)}`
  }
}

/** Makes a catalogued error; the compiler demands exactly the parameters that its templates name. */
export function failure<C extends ErrorCode>(code: C, parameters: ErrorParameters<C>, cause?: unknown): StreamPipelineError {
  return new StreamPipelineError(code, parameters, cause)
}

/** As the command line reports it. */
export function errorText(error: StreamPipelineError): string {
  return `streampipeline: ${error.message}\n  ${error.remedy}`
}

/** Turns anything thrown into a catalogued error; what is not known yet is an internal error. */
export function asFailure(thrown: unknown): StreamPipelineError {
  if (thrown instanceof StreamPipelineError) return thrown
  return failure('Internal', { detail: textOf(thrown) }, thrown)
}

/** Any value can be thrown, even one that has no text: an object without a prototype. */
function textOf(thrown: unknown): string {
  if (thrown instanceof Error) return String(thrown.message)
  return typeof thrown === 'object' && thrown !== null ? 'something other than an Error was thrown' : String(thrown)
}
