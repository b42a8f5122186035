/** A request before it is sent: checked, and in the two forms in which it may go. */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { type ForwardItem, jsonOf } from '../redis/bullmq/item.ts'
import type { Trace } from '../redis/payload/fields.ts'
import { fieldsOf, type RequestOptions } from '../redis/payload/request.ts'
import type { Plan } from './plan.ts'
import { checkBy, type StandardSchema } from './standardschema.ts'

/** Options of one request. Those of its job are refused beyond `spec.sink.bullmq.allow`. */
export interface DispatchOptions extends RequestOptions {
  /** W3C trace context that the job carries on. A malformed one is left out, as the standard demands. */
  readonly traceparent?: string | undefined
  /** Goes with `traceparent` alone. */
  readonly tracestate?: string | undefined
}

export interface Prepared {
  /** The entry: field, value, … */
  readonly flat: readonly string[]
  readonly item: ForwardItem
}

/** Throws PayloadRejected and OptionRefused; of several payloads the message names the one. */
export function prepareAll(
  plan: Plan,
  payloads: readonly object[],
  optionsOf: (index: number) => DispatchOptions,
): readonly Prepared[] {
  return payloads.map((payload, index) => {
    try {
      return prepare(plan, payload, optionsOf(index))
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

/** Both forms of a payload, the job's taken from the entry's, so that they cannot differ. */
function prepare(plan: Plan, payload: object, options: DispatchOptions): Prepared {
  const { traceparent: _, tracestate: __, ...own } = options
  const flat = plan.codec.encode(payload, traceOf(options), fieldsOf(own, plan.config.allow))
  const decoded = plan.codec.decode(flat.map((text) => Buffer.from(text)))
  if (decoded.kind === 'Invalid') throw failure('PayloadRejected', { detail: `${decoded.reason}: ${decoded.error}` })
  const { hash, data, trace, asked } = decoded
  return { flat, item: { hash, json: jsonOf(data), trace, ...(asked === undefined ? {} : { asked }) } }
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
