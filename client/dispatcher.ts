/**
 * The dispatch boundary: the one place where an application hands over work. In Stream mode the payload becomes an entry of the stream, in
 * Direct mode a BullMQ job. The key is the same in both. One setting switches between them.
 *
 * The first mode found is in force: `mode` given in code; STREAMPIPELINE_MODE; the mode kept in Redis; the configuration's. The script that
 * adds also reads the mode in Redis.
 */

import { failure } from '../api/errors.ts'
import { type DispatchMode, dispatchMode, modeVariable } from '../redis/dispatchconfig.ts'
import { jobId } from '../redis/keys.ts'
import type { RequestStatus } from '../redis/status/request.ts'
import { type CancelOutcome, cancelRequest } from './cancel.ts'
import { addDirectly } from './direct.ts'
import { createLinks } from './links.ts'
import type { DispatcherOptions } from './options.ts'
import { createDeadline } from './overdue.ts'
import { createPlans } from './plan.ts'
import { checkAll, type DispatchOptions, prepareAll } from './prepare.ts'
import type { PayloadIn, StandardSchema } from './standardschema.ts'
import { type RequestName, type StatusOptions, statusOf } from './status.ts'
import { addToStream } from './streamadd.ts'
import { createWaiting, type WaitOptions, type WaitOutcome } from './waiting.ts'
import { warn } from './warn.ts'

export type DispatchResult =
  | {
      readonly mode: 'Stream'
      /** The entry's id. */
      readonly id: string
      /** Id of the job that the entry becomes. */
      readonly jobId: string
      /** Hash of the idempotency key. */
      readonly key: string
    }
  | {
      readonly mode: 'Direct'
      readonly jobId: string
      /** `duplicate`: a job of this key was made before, within the window; none was added. */
      readonly outcome: 'forwarded' | 'duplicate'
      /** Hash of the idempotency key. */
      readonly key: string
    }

export interface Dispatcher<Payload extends object> {
  /**
   * Hands over one payload. Before anything is sent it throws PayloadRejected, naming the field, and OptionRefused. In mode Stream it throws
   * OptionsNotTaken while a consumer would drop the options. RedisUnreachable and its like come within `timeoutMs`. After those the payload may or may not have been added: dispatch it again, the key makes that safe.
   */
  dispatch(payload: Payload, options?: DispatchOptions): Promise<DispatchResult>
  /**
   * Hands over many, in order, in few round trips. All are checked before any is sent. Throws as `dispatch`; some may have been
   * added then, and dispatching all of them again is safe.
   * @param options of all, or a list with those of each payload
   */
  dispatchMany(
    payloads: readonly Payload[],
    options?: DispatchOptions | readonly DispatchOptions[],
  ): Promise<readonly DispatchResult[]>
  /**
   * Where a request is, and what became of it. At most five round trips for an id or hash, and no command whose cost grows with the stream or
   * the queue. Throws InvalidOption for a name that leads to no request, and catalogued errors.
   */
  status(name: RequestName, options?: StatusOptions): Promise<RequestStatus>
  /**
   * Cancels a request that has not begun, by what `status` takes. Its key then stays taken for `idempotency.window`: an entry of it that is
   * still in the stream ends as a duplicate, and so does another dispatch. Throws as `status`.
   */
  cancel(name: RequestName, options?: StatusOptions): Promise<CancelOutcome>
  /**
   * Waits for what becomes of a request. Its first call opens a connection of its own for events, two where the queue lives elsewhere.
   * Throws as `status`, Closed when the dispatcher is closed meanwhile, and the signal's reason.
   */
  waitFor(name: RequestName, options?: WaitOptions): Promise<WaitOutcome>
  /** Waits for what is under way, then disconnects. Ends waits for requests. Idempotent, final. */
  close(): Promise<void>
}

/** Makes a dispatcher; it connects with the first dispatch. Throws InvalidPipeline, InvalidOption. */
export function createDispatcher<
  Payload extends object = Readonly<Record<string, unknown>>,
  Schema extends StandardSchema | undefined = StandardSchema | undefined,
>(
  options: DispatcherOptions & { readonly schema?: Schema } = {},
): Dispatcher<[Schema] extends [StandardSchema] ? PayloadIn<Schema> : Payload> {
  const { timeoutMs = 5_000, env = process.env } = options
  const pinned = pinnedMode(options.mode ?? env[modeVariable])
  const onError = options.onError ?? warn
  const plans = createPlans({ ...options, env, onError })
  const links = createLinks({ ...options, pipeline: plans.pipeline, onError })
  const waiting = createWaiting(links, onError)
  const deadline = createDeadline(timeoutMs, links.label)
  const underWay = new Set<Promise<unknown>>()
  let closed: Promise<void> | undefined

  async function send(
    payloads: readonly object[],
    optionsOf: (index: number) => DispatchOptions,
    signal: AbortSignal,
  ): Promise<readonly DispatchResult[]> {
    const plan = await plans.current()
    if (options.schema !== undefined) await checkAll(options.schema, payloads)
    const prepared = prepareAll(plan, payloads, optionsOf)
    const results: DispatchResult[] = []
    if (pinned !== 'Direct') {
      const ids = await addToStream(
        await links.stream(),
        {
          stream: plan.config.stream,
          modeKey: pinned === undefined ? plan.keys.mode : undefined,
          mode: pinned ?? plan.config.mode,
          maxEntries: plan.config.maxEntries,
          consumers: plan.keys,
        },
        prepared.map(({ flat, item }) => ({ flat, hasOptions: (item.asked?.fields.length ?? 0) > 0 })),
      )
      for (const [index, id] of ids.entries()) {
        const key = prepared[index]?.item.hash ?? ''
        results.push({ mode: 'Stream', id, jobId: jobId(plan.config.scope, key), key })
      }
    }
    const rest = prepared.slice(results.length).map(({ item }) => item)
    if (rest.length === 0) return results
    const outcomes = await addDirectly(await links.forwarder(plan), rest, signal)
    for (const [index, outcome] of outcomes.entries()) {
      results.push({ mode: 'Direct', ...outcome, key: rest[index]?.hash ?? '' })
    }
    return results
  }

  /** Counted among what `close` waits for. */
  async function tracked<T>(call: Promise<T>): Promise<T> {
    underWay.add(call)
    try {
      return await call
    } finally {
      underWay.delete(call)
    }
  }

  async function dispatchMany(payloads: readonly object[], options: DispatchOptions | readonly DispatchOptions[] = {}) {
    if (closed !== undefined) throw failure('Closed', { what: 'dispatcher' })
    const optionsOf = optionsFor(options, payloads.length)
    return await tracked(deadline.run(payloads.length, (signal) => send(payloads, optionsOf, signal)))
  }

  return {
    async dispatch(payload, more) {
      const [result] = await dispatchMany([payload], more)
      if (result === undefined) throw failure('Internal', { detail: 'a payload was left without a result' })
      return result
    },
    dispatchMany,
    async status(name, options = {}) {
      if (closed !== undefined) throw failure('Closed', { what: 'dispatcher' })
      return await tracked(deadline.run(0, async () => await statusOf(links, await plans.current(), name, options)))
    },
    async cancel(name, options = {}) {
      if (closed !== undefined) throw failure('Closed', { what: 'dispatcher' })
      const cancelling = async () => await cancelRequest(links, await plans.current(), name, options)
      const result = await tracked(deadline.run(0, cancelling))
      waiting.stir()
      return result
    },
    async waitFor(name, options = {}) {
      if (closed !== undefined) throw failure('Closed', { what: 'dispatcher' })
      return await waiting.wait(await plans.current(), name, options)
    },
    close() {
      closed ??= (async () => {
        await waiting.end()
        await Promise.allSettled(underWay)
        await links.end()
      })()
      return closed
    },
  }
}

const isList = (options: DispatchOptions | readonly DispatchOptions[]): options is readonly DispatchOptions[] =>
  Array.isArray(options)

function optionsFor(options: DispatchOptions | readonly DispatchOptions[], payloads: number): (index: number) => DispatchOptions {
  if (!isList(options)) return () => options
  if (options.length === payloads) return (index) => options[index] ?? {}
  const detail = `${options.length} options for ${payloads} payloads: give one for each, or one for all`
  throw failure('InvalidOption', { option: 'options', detail })
}

function pinnedMode(given: string | undefined): DispatchMode | undefined {
  if (given === undefined || given === '') return undefined
  const mode = dispatchMode.safeParse(given)
  if (mode.success) return mode.data
  throw failure('InvalidOption', { option: modeVariable, detail: `Stream or Direct, not ${JSON.stringify(given)}` })
}
