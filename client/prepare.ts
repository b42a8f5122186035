/** A request before it is sent: checked, and in the two forms in which it may go. */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { type ForwardItem, jsonOf } from '../redis/bullmq/item.ts'
import { hashOfKey } from '../redis/payload/decoder.ts'
import type { Trace } from '../redis/payload/fields.ts'
import { fieldsOf, type RequestOptions } from '../redis/payload/request.ts'
import type { Plan } from './plan.ts'
import { checkBy, type StandardSchema } from './standardschema.ts'

/** Options of one request. `dispatch` refuses options of the job that are beyond `spec.sink.bullmq.allow`. */
export interface DispatchOptions extends RequestOptions {
  /** W3C trace context, which the job carries on. A malformed one is ignored, as the standard demands. */
  readonly traceparent?: string | undefined
  /** Ignored without `traceparent`. */
  readonly tracestate?: string | undefined
}

/** A checked request. */
export interface Prepared {
  /** The entry: field, value, … */
  readonly flat: readonly string[]
  /** Whether the request sets options of its job. */
  readonly hasOptions: boolean
  /** Hash of the idempotency key. */
  readonly hash: () => string
  /** The job, for Direct mode. Made when it is asked for: in Stream mode the consumer makes it. */
  readonly item: () => ForwardItem
}

/** Throws PayloadRejected and OptionRefused; of several payloads the message names the one. */
export function prepareAll(
  plan: Plan,
  payloads: readonly object[],
  optionsOf: (index: number) => DispatchOptions,
): readonly Prepared[] {
  let extras: Extras | undefined
  return payloads.map((payload, index) => {
    try {
      const options = optionsOf(index)
      // Mostly the same for all.
      if (extras?.options !== options) extras = extrasOf(plan, options)
      return prepare(plan, payload, extras)
    } catch (thrown) {
      throw payloads.length > 1 ? placed(asFailure(thrown), index) : asFailure(thrown)
    }
  })
}

/** By the application's own schema. Throws PayloadRejected. */
export async function checkAll(schema: StandardSchema, payloads: readonly unknown[]): Promise<void> {
  for (const [index, payload] of payloads.entries()) {
    try {
      await checkBy(schema, payload)
    } catch (thrown) {
      throw payloads.length > 1 ? placed(asFailure(thrown), index) : asFailure(thrown)
    }
  }
}

/** Fields of an entry beside its payload. */
interface Extras {
  readonly options: DispatchOptions
  readonly trace: Trace
  readonly fields: readonly string[]
}

function extrasOf(plan: Plan, options: DispatchOptions): Extras {
  const { traceparent: _, tracestate: __, ...own } = options
  return { options, trace: traceOf(options), fields: fieldsOf(own, plan.config.allow) }
}

/** Both forms of a payload, the job's taken from the entry's, so that they cannot differ. */
function prepare(plan: Plan, payload: object, { trace: sent, fields }: Extras): Prepared {
  const { flat, decoded } = plan.codec.encodeAndDecode(payload, sent, fields)
  const { key, data, trace, asked } = decoded
  let made: string | undefined
  const hash = () => {
    made ??= hashOfKey(key)
    return made
  }
  const item = () => ({ hash: hash(), json: jsonOf(data), trace, ...(asked === undefined ? {} : { asked }) })
  return { flat, hasOptions: (asked?.fields.length ?? 0) > 0, hash, item }
}

function placed(error: StreamPipelineError, index: number): StreamPipelineError {
  const detail = `payload ${index} of the list: ${error.parameters['detail'] ?? ''}`
  if (error.code === 'OptionRefused') return failure('OptionRefused', { option: error.parameters['option'] ?? '', detail }, error)
  return error.code === 'PayloadRejected' ? failure('PayloadRejected', { detail }, error) : error
}

/** W3C Trace Context, version 00 and what later versions must begin with. */
const traceparentForm = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|$)/

/** Printable ASCII, as the standard has it, and no longer than all its readers must carry. */
const tracestateForm = /^[\x20-\x7e]{1,512}$/

function traceOf({ traceparent, tracestate }: DispatchOptions): Trace {
  if (traceparent === undefined || !traceparentForm.test(traceparent)) return {}
  return tracestate !== undefined && tracestateForm.test(tracestate) ? { traceparent, tracestate } : { traceparent }
}
