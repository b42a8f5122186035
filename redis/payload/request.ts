/**
 * Options of one request: what a producer sets for the job of one entry. They travel in fields of the entry beside the payload, `sp-delay`
 * and its like, and end in the job's options in BullMQ's own form. The pipeline bounds them (`spec.sink.bullmq.allow`).
 */
import type { JobsOptions } from 'bullmq'
import type { CompiledAllow, CompiledPayload, KeptBound, KeptJobs } from '../../api/compiled.ts'
import { failure } from '../../api/errors.ts'
import { isNamedBy } from '../../api/fieldnames.ts'

/** Whether BullMQ removes a job at its end: true removes it at once, false keeps it. A number is a count of jobs to keep; ages are seconds. */
export type Kept = boolean | number | { readonly count?: number; readonly age?: number }

/** Options of a request, in BullMQ's form. `dispatch` refuses those that the pipeline does not allow. */
export interface RequestOptions {
  /** Name of the job. */
  readonly name?: string | undefined
  /** Milliseconds from dispatch, the time in the stream included. */
  readonly delay?: number | undefined
  /** BullMQ runs jobs without priority (0) first, then 1, 2 and so on. The stream keeps the order of dispatch. */
  readonly priority?: number | undefined
  /** Number of attempts, 1 or more. */
  readonly attempts?: number | undefined
  /** Wait between attempts, in milliseconds. A number means a fixed wait. */
  readonly backoff?: number | { readonly type: 'fixed' | 'exponential'; readonly delay: number } | undefined
  /** True: the job goes before the waiting jobs. */
  readonly lifo?: boolean | undefined
  /** Whether BullMQ removes the job once it is completed. */
  readonly removeOnComplete?: Kept | undefined
  /** Whether BullMQ removes the job once it has failed. */
  readonly removeOnFail?: Kept | undefined
  /** The request's key, in place of the key from its payload. */
  readonly idempotencyKey?: string | undefined
}

/** Options that a job is made with, as BullMQ takes them. */
interface AskedOptions {
  readonly delay?: number
  readonly priority?: number
  readonly attempts?: number
  readonly backoff?: { readonly type: 'fixed' | 'exponential'; readonly delay: number }
  readonly lifo?: boolean
  readonly removeOnComplete?: KeptJobs
  readonly removeOnFail?: KeptJobs
}

/** The options of a request. */
export interface Asked {
  readonly name?: string
  /** The idempotency key that the producer gave. */
  readonly key?: string
  readonly options: AskedOptions
  /** Field, value, … as they stood in the entry: the job keeps them, for a replay of its dead letter. */
  readonly fields: readonly string[]
}

type Value = string | number | boolean | object

interface OptionForm {
  /** Name of the entry's field. */
  readonly field: string
  /** The option from the field's text; undefined for a text of another form. */
  read(text: string): Value | undefined
  /** The form, for messages. */
  readonly form: string
  /** Why the bounds refuse it; undefined when they do not. */
  refused(value: never, allow: CompiledAllow): string | undefined
}

const notAllowed = (field: string) => `spec.sink.bullmq.allow.${field} does not allow it`
const beyond = (value: number, most: number | undefined, field: string) =>
  most === undefined ? notAllowed(field) : value > most ? `${value} is more than allow.${field} ${most}` : undefined

const integer = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined)
const flag = (text: string) => (text === 'true' ? true : text === 'false' ? false : undefined)
const json = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    // Of no form that an option has.
    return undefined
  }
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
const membersOf = (value: unknown, names: readonly string[]): Readonly<Record<string, unknown>> | undefined =>
  typeof value === 'object' && value !== null && Object.keys(value).every((name) => names.includes(name))
    ? (value as Readonly<Record<string, unknown>>)
    : undefined

function readBackoff(text: string): AskedOptions['backoff'] {
  const value = json(text)
  if (isCount(value)) return { type: 'fixed', delay: value }
  const { type, delay } = membersOf(value, ['type', 'delay']) ?? {}
  return (type === 'fixed' || type === 'exponential') && isCount(delay) ? { type, delay } : undefined
}

function readKept(text: string): KeptJobs | undefined {
  const value = json(text)
  if (typeof value === 'boolean') return value
  if (isCount(value)) return { count: value }
  const { count, age } = membersOf(value, ['count', 'age']) ?? {}
  if (age === undefined) return isCount(count) ? { count } : undefined
  if (!isCount(age)) return undefined
  return count === undefined ? { age } : isCount(count) ? { age, count } : undefined
}

/**
 * When a job ends, BullMQ applies that job's options to all finished jobs, and removes those beyond its limits. So a request may
 * only keep more than the pipeline does.
 */
function keptBeyond(value: KeptJobs, bound: KeptBound | undefined, field: string): string | undefined {
  if (bound === undefined) return notAllowed(field)
  if (value === false) return undefined
  const isAtOnce = value === true || value.count === 0
  if (isAtOnce) return bound.atOnce ? undefined : 'a failed job that is removed at once cannot become a dead letter'
  const { least } = bound
  const [count, age] =
    typeof least === 'boolean'
      ? [least ? 0 : Number.POSITIVE_INFINITY, least ? 0 : Number.POSITIVE_INFINITY]
      : [least.count ?? Number.POSITIVE_INFINITY, least.age ?? Number.POSITIVE_INFINITY]
  const isLess = (asked: number | undefined, floor: number) => asked !== undefined && asked < floor
  if (!isLess(value.count, count) && !isLess(value.age, age)) return undefined
  return `BullMQ would remove jobs that jobOptions.${field} keeps: keep as many, or write true or false`
}

const keptForm = 'true, false, or {"count":N,"age":SECONDS}'

const forms = {
  name: {
    field: 'sp-name',
    read: (text) => (text === '' ? undefined : text),
    form: 'a text that is not empty',
    refused(value: string, { names }) {
      if (names === undefined) return notAllowed('names')
      return names.some((pattern) => isNamedBy(pattern, value)) ? undefined : 'allow.names does not have it'
    },
  },
  delay: {
    field: 'sp-delay',
    read: integer,
    form: 'whole milliseconds',
    refused: (value: number, { maxDelay }) => beyond(value, maxDelay, 'maxDelay'),
  },
  priority: {
    field: 'sp-priority',
    read: integer,
    form: 'a whole number',
    refused(value: number, { priority }) {
      if (priority === undefined) return notAllowed('priority')
      const { min, max } = priority
      return value < min || value > max ? `${value} is not between ${min} and ${max} (allow.priority)` : undefined
    },
  },
  attempts: {
    field: 'sp-attempts',
    read: (text) => integer(text) || undefined,
    form: 'a whole number from 1 on',
    refused: (value: number, { maxAttempts }) => beyond(value, maxAttempts, 'maxAttempts'),
  },
  backoff: {
    field: 'sp-backoff',
    read: readBackoff,
    form: '{"type":"fixed" or "exponential","delay":MILLISECONDS}',
    refused: ({ delay }: { delay: number }, { maxBackoff }) => beyond(delay, maxBackoff, 'maxBackoff'),
  },
  lifo: {
    field: 'sp-lifo',
    read: flag,
    form: 'true or false',
    refused: (_: boolean, { lifo }) => (lifo === true ? undefined : notAllowed('lifo')),
  },
  removeOnComplete: {
    field: 'sp-remove-on-complete',
    read: readKept,
    form: keptForm,
    refused: (value: KeptJobs, allow) => keptBeyond(value, allow.removeOnComplete, 'removeOnComplete'),
  },
  removeOnFail: {
    field: 'sp-remove-on-fail',
    read: readKept,
    form: keptForm,
    refused: (value: KeptJobs, allow) => keptBeyond(value, allow.removeOnFail, 'removeOnFail'),
  },
  idempotencyKey: {
    field: 'sp-key',
    read: (text) => (text === '' ? undefined : text),
    form: 'a text that is not empty',
    refused: (_: string, { idempotencyKey }) => (idempotencyKey === true ? undefined : notAllowed('idempotencyKey')),
  },
} satisfies Record<keyof RequestOptions, OptionForm>

type OptionName = keyof typeof forms

const optionOfField: ReadonlyMap<string, OptionName> = new Map(
  (Object.keys(forms) as OptionName[]).map((name) => [forms[name].field, name]),
)

/** Whether an entry with these fields brings its own idempotency key. @param flat field, value, … */
export const bringsKey = (flat: readonly string[]): boolean =>
  flat.some((text, at) => at % 2 === 0 && text === forms.idempotencyKey.field)

/** Whether an entry's field carries an option. */
export const isOptionField = (field: string): boolean => optionOfField.has(field)

const ofFlow = 'only a job in a flow has it: dispatch in the worker of such a job, or add flows with BullMQ'
const ofScheduler = 'BullMQ’s job schedulers set it: let a scheduled job’s worker dispatch'

/** BullMQ's options that no request may set, and what to do instead. A new option of BullMQ fails to compile here. */
export const refusedOptions = {
  jobId: 'the job id is made of the idempotency key: give idempotencyKey',
  deduplication: 'the idempotency key removes duplicates: give idempotencyKey',
  repeat: 'a repeated job has no request: use BullMQ’s job scheduler, and dispatch in its worker',
  repeatJobKey: ofScheduler,
  prevMillis: ofScheduler,
  parent: 'a flow is added in one step with its children: dispatch in a worker, or add flows with BullMQ',
  failParentOnFailure: ofFlow,
  continueParentOnFailure: ofFlow,
  ignoreDependencyOnFailure: ofFlow,
  removeDependencyOnFailure: ofFlow,
  timestamp: 'the time of dispatch is the server’s',
  telemetry: 'give traceparent and tracestate',
  stackTraceLimit: 'set it in the worker',
  sizeLimit: 'set spec.payload.maxBytes',
  keepLogs: 'set it in the worker',
} satisfies Record<Exclude<keyof JobsOptions | 'repeat', keyof RequestOptions>, string>

const whyRefused = (option: string): string =>
  Object.hasOwn(refusedOptions, option) ? refusedOptions[option as keyof typeof refusedOptions] : 'a request has no such option'

const refusal = (option: string, detail: string) => failure('OptionRefused', { option, detail })

/**
 * The fields of an entry that carry these options: field, value, … Throws OptionRefused, naming the option.
 * @param allow undefined: nothing is allowed
 */
export function fieldsOf(options: RequestOptions, allow: CompiledAllow | undefined): string[] {
  if (Object.keys(options).length === 0) return []
  const fields: [string, string][] = []
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (!Object.hasOwn(forms, name)) throw refusal(name, whyRefused(name))
    const { field, form, read } = forms[name as OptionName]
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    if (typeof text !== 'string' || (typeof value === 'string') !== (name === 'name' || name === 'idempotencyKey')) {
      throw refusal(name, `write ${form}`)
    }
    if (read(text) === undefined || !text.isWellFormed()) throw refusal(name, `write ${form}`)
    fields.push([field, text])
  }
  const read = readRequest(fields, allow)
  if (read.kind === 'Refused') throw refusal(read.option, read.detail)
  return fields.flat()
}

type ReadRequest =
  | { readonly kind: 'Asked'; readonly asked: Asked }
  | { readonly kind: 'Refused'; readonly option: string; readonly field: string; readonly detail: string }

/** An option that a payload field sets (`payload.nameFrom` and its like), by that field's text. */
export interface Derived {
  readonly option: keyof typeof sources
  readonly field: string
  readonly text: string
}

/** The payload's settings that take an option from a field. */
const sources = { name: 'nameFrom', delay: 'delayFrom', priority: 'priorityFrom' } as const

/** The options that the fields of a payload set. A field that is absent or null sets none. */
export function derivedFrom(payload: CompiledPayload, data: Readonly<Record<string, unknown>>): readonly Derived[] {
  return (['name', 'delay', 'priority'] as const).flatMap((option) => {
    const field = payload[sources[option]]
    const value = field === undefined || !Object.hasOwn(data, field) ? undefined : data[field]
    if (field === undefined || value === undefined || value === null) return []
    return [{ option, field, text: typeof value === 'string' ? value : JSON.stringify(value) }]
  })
}

/**
 * The options of a request, by the fields of its entry, in any order. An option in such a field goes before one that the payload
 * sets.
 * @param given field and text @param allow undefined: nothing is allowed
 */
export function readRequest(
  given: readonly (readonly [string, string])[],
  allow: CompiledAllow = {},
  derived: readonly Derived[] = [],
): ReadRequest {
  const values: Record<string, Value> = {}
  const explicit = given.flatMap(([field, text]) => {
    const option = optionOfField.get(field)
    return option === undefined ? [] : [{ option, field, text }]
  })
  const named = new Set<OptionName>(explicit.map(({ option }) => option))
  for (const { option, field, text } of [...explicit, ...derived.filter((each) => !named.has(each.option))]) {
    const refused = (detail: string) => ({ kind: 'Refused', option, field, detail }) as const
    const form: OptionForm = forms[option]
    if (Object.hasOwn(values, option)) return refused('it occurs twice')
    const value = form.read(text)
    if (value === undefined) return refused(`write ${form.form}`)
    const detail = form.refused(value as never, allow)
    if (detail !== undefined) return refused(detail)
    values[option] = value
  }
  const { name, idempotencyKey, ...options } = values as RequestOptions
  const asked = {
    ...(name === undefined ? {} : { name }),
    ...(idempotencyKey === undefined ? {} : { key: idempotencyKey }),
    options: options as AskedOptions,
    fields: given.flat(),
  }
  return { kind: 'Asked', asked }
}
