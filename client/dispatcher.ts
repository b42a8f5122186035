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
import type { RequestStatus } from '../redis/status/summary.ts'
import { cancelRequest } from './cancel.ts'
import { addDirectly } from './direct.ts'
import { optionsFor } from './dispatchoptions.ts'
import { createLinks } from './links.ts'
import type { DispatcherOptions } from './options.ts'
import { createDeadline } from './overdue.ts'
import { createPlans, type Plan } from './plan.ts'
import { checkAll, type DispatchOptions, type Prepared, prepareAll } from './prepare.ts'
import type { RequestName } from './requestname.ts'
import type { PayloadIn, StandardSchema } from './standardschema.ts'
import { type StatusOptions, statusOf } from './status.ts'
import { addToStream } from './streamadd.ts'
import type { CancelOutcome, WaitOutcome } from './verdicts.ts'
import { createWaiting, type WaitOptions } from './waiting.ts'
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
      /** `duplicate`: the key was forwarded before, within the window, so no job was added. */
      readonly outcome: 'forwarded' | 'duplicate'
      /** Hash of the idempotency key. */
      readonly key: string
    }

export interface Dispatcher<Payload extends object> {
  /**
   * Dispatches one payload. It throws PayloadRejected, which names the field, and OptionRefused before it sends anything. In mode Stream
   * it throws OptionsNotTaken while a consumer would drop the options. It throws RedisUnreachable and other errors of Redis within
   * `timeoutMs`. After such an error the payload may have been added. Dispatch it again: the key makes that safe.
   */
  dispatch(payload: Payload, options?: DispatchOptions): Promise<DispatchResult>
  /**
   * Dispatches several payloads, in order and in few round trips. It checks all before it sends any. Throws like `dispatch`. After an
   * error some may have been added. It is safe to dispatch all again.
   * @param options one object for all payloads, or a list with one for each
   */
  dispatchMany(
    payloads: readonly Payload[],
    options?: DispatchOptions | readonly DispatchOptions[],
  ): Promise<readonly DispatchResult[]>
  /**
   * Reports where a request is, and its outcome. It needs at most five round trips for an id or hash. The cost of its commands does not
   * grow with the stream or the queue. It throws InvalidOption for a name that no request can have. If Redis fails, it throws
   * RedisUnreachable and other errors of Redis.
   */
  status(name: RequestName, options?: StatusOptions): Promise<RequestStatus>
  /**
   * Cancels a request that has not begun. It takes a result, an id, a hash or a key, as `status` does. The key of the request then stays
   * taken for `idempotency.window`. An entry with this key is then a duplicate, whether it is still in the stream or dispatched later. It
   * throws as `status` does.
   */
  cancel(name: RequestName, options?: StatusOptions): Promise<CancelOutcome>
  /**
   * Waits for the outcome of a request. Events come through one connection for each Redis, which all dispatchers of the process share.
   * It throws as `status` does. It throws Closed if the dispatcher closes, and the signal's reason if the signal aborts.
   */
  waitFor(name: RequestName, options?: WaitOptions): Promise<WaitOutcome>
  /** Waits for calls under way, then disconnects. Ends every `waitFor`. Idempotent. A closed dispatcher cannot be used again. */
  close(): Promise<void>
}

/** Creates a dispatcher, which connects at its first call. Throws InvalidPipeline and InvalidOption. */
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
    signal: () => AbortSignal,
  ): Promise<readonly DispatchResult[]> {
    const plan = await plans.current()
    if (options.schema !== undefined) await checkAll(options.schema, payloads)
    const prepared = prepareAll(plan, payloads, optionsOf)
    const added = pinned === 'Direct' ? [] : await streamed(plan, prepared)
    const rest = prepared.slice(added.length).map(({ item }) => item())
    if (rest.length === 0) return added
    const outcomes = await addDirectly(await links.forwarder(plan), rest, signal())
    const direct = outcomes.map((outcome, at): DispatchResult => ({ mode: 'Direct', ...outcome, key: rest[at]?.hash ?? '' }))
    return [...added, ...direct]
  }

  /** Those that were added before the mode in Redis was Direct. */
  async function streamed(plan: Plan, prepared: readonly Prepared[]): Promise<readonly DispatchResult[]> {
    const { config, keys } = plan
    const adding = addToStream(
      await links.stream(),
      {
        stream: config.stream,
        modeKey: pinned === undefined ? keys.mode : undefined,
        mode: pinned ?? config.mode,
        maxEntries: config.maxEntries,
        consumers: keys,
      },
      prepared,
    )
    // The server adds the entries meanwhile.
    const hashes = prepared.map(({ hash }) => hash())
    return (await adding).map((id, index) => {
      const key = hashes[index] ?? ''
      return { mode: 'Stream', id, jobId: jobId(config.scope, key), key }
    })
  }

  /** Counted among what `close` waits for. No async function: each one lengthens a dispatch. */
  function tracked<T>(call: Promise<T>): Promise<T> {
    underWay.add(call)
    const ended = () => void underWay.delete(call)
    call.then(ended, ended)
    return call
  }

  async function dispatchMany(payloads: readonly object[], options: DispatchOptions | readonly DispatchOptions[] = {}) {
    if (closed !== undefined) throw failure('Closed', { what: 'dispatcher' })
    const optionsOf = optionsFor(options, payloads.length)
    return await tracked(deadline.run(payloads.length, (signal) => send(payloads, optionsOf, signal)))
  }

  return {
    dispatch: (payload, more) => dispatchMany([payload], more).then(onlyOne),
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

function onlyOne([result]: readonly DispatchResult[]): DispatchResult {
  if (result === undefined) throw failure('Internal', { detail: 'a payload was left without a result' })
  return result
}

function pinnedMode(given: string | undefined): DispatchMode | undefined {
  if (given === undefined || given === '') return undefined
  const mode = dispatchMode.safeParse(given)
  if (mode.success) return mode.data
  throw failure('InvalidOption', { option: modeVariable, detail: `Stream or Direct, not ${JSON.stringify(given)}` })
}
