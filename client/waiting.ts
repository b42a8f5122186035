/**
 * Waiting for the end of a request. Events report it, so a wait costs one look at the request's state when it begins, one for
 * each time that the connection was lost, and one when its time is up: whatever events were missed or trimmed, the state is the truth.
 */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { close, type RedisConnection } from '../redis/connect/connection.ts'
import { jobId } from '../redis/keys.ts'
import { queueKey } from '../redis/placement.ts'
import type { DeadStatus } from '../redis/status/entrystate.ts'
import type { RequestStatus } from '../redis/status/request.ts'
import { deadLetterSource, type EventReader, queueSource, type RequestNews, readEvents } from './events.ts'
import type { Links } from './links.ts'
import type { Plan } from './plan.ts'
import { type RequestName, refsOf, statusOf } from './status.ts'

export interface WaitOptions {
  /** Milliseconds, from 0 on. Default 60,000. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait; it then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export type WaitOutcome =
  /** `result`: what the handler returned. */
  | { readonly outcome: 'completed'; readonly result: unknown }
  /** BullMQ gave the job up. */
  | { readonly outcome: 'failed'; readonly error: string }
  | { readonly outcome: 'dead'; readonly dead: DeadStatus }
  /** It ended before the wait began, or was removed, and its job is not kept. */
  | { readonly outcome: 'notKept' }
  /** It was cancelled before it began. */
  | { readonly outcome: 'cancelled' }
  /** Time is up. `status`: where it is then. */
  | { readonly outcome: 'timeout'; readonly status: RequestStatus }

export interface Waiting {
  /** Has the waits of this dispatcher look at the state: something happened of which no event speaks. */
  stir(): void
  /** Throws as `status`, Closed when the dispatcher is closed meanwhile, and the signal's reason. */
  wait(plan: Plan, name: RequestName, options: WaitOptions): Promise<WaitOutcome>
  end(): Promise<void>
}

/** One wait. `names` are the job's id, the key's hash and the entry's id; undefined as long as they are not known. */
interface Wait {
  names: ReadonlySet<string> | undefined
  /** Events that came before the names were known. */
  readonly early: RequestNews[]
  hear(news: RequestNews): void
  look(): Promise<void>
}

const mostEarly = 10_000
/** Pause after a look that Redis did not answer. */
const lookAgainMs = 1_000

export function createWaiting(links: Links, onError: (error: StreamPipelineError) => void): Waiting {
  const waits = new Set<Wait>()
  /** Waits whose names are not known yet, and the others by each of their names. */
  const unnamed = new Set<Wait>()
  const named = new Map<string, Set<Wait>>()
  const closing = new AbortController()
  let current: { readonly place: string; readonly readers: readonly EventReader[] } | undefined

  const heard = (news: RequestNews) => {
    for (const wait of unnamed) if (wait.early.length < mostEarly) wait.early.push(news)
    const heardBy = new Set(namesIn(news).flatMap((name) => [...(named.get(name) ?? [])]))
    for (const wait of heardBy) wait.hear(news)
  }
  const resumed = () => {
    for (const wait of waits) void wait.look()
  }
  const failed = (thrown: unknown) => onError(asFailure(thrown))

  /** One reader, or two where queue and dead letters cannot be read by one command. */
  const readersFor = (plan: Plan): readonly EventReader[] => {
    const { config } = plan
    const events = `${queueKey(config)}events`
    const place = [events, config.deadLetters].join(' ')
    if (current?.place === place) return current.readers
    const former = current?.readers ?? []
    const queue = queueSource(events)
    const dead = config.deadLetters === undefined ? [] : [deadLetterSource(config.deadLetters)]
    const common = { heard, resumed, failed, close: (connection: RedisConnection) => close(connection) }
    const together = links.isTogether(plan)
    const readers = [
      readEvents({ ...common, open: () => links.blocking('Queue', plan), sources: together ? [queue, ...dead] : [queue] }),
      ...(together || dead.length === 0
        ? []
        : [readEvents({ ...common, open: () => links.blocking('Stream', plan), sources: dead })]),
    ]
    current = { place, readers }
    for (const reader of former) reader.stop().catch(failed)
    return readers
  }

  const listening = async (plan: Plan) => {
    const readers = readersFor(plan)
    try {
      await Promise.all(readers.map(({ ready }) => ready))
    } catch (thrown) {
      // The next wait tries again.
      if (current?.readers === readers) current = undefined
      for (const reader of readers) reader.stop().catch(failed)
      throw thrown
    }
  }

  const enter = (own: Wait, names: ReadonlySet<string>) => {
    if (!waits.has(own)) return names
    own.names = names
    unnamed.delete(own)
    for (const name of names) named.set(name, (named.get(name) ?? new Set()).add(own))
    return names
  }

  const forget = (own: Wait) => {
    waits.delete(own)
    unnamed.delete(own)
    for (const name of own.names ?? []) {
      const others = named.get(name)
      others?.delete(own)
      if (others?.size === 0) named.delete(name)
    }
  }

  async function wait(plan: Plan, name: RequestName, { timeoutMs = 60_000, signal }: WaitOptions): Promise<WaitOutcome> {
    const ended = Promise.withResolvers<WaitOutcome>()
    const status = async () => await statusOf(links, plan, name, {})
    let again: NodeJS.Timeout | undefined
    const own: Wait = {
      names: undefined,
      early: [],
      hear(news) {
        const outcome = outcomeOfNews(news)
        if (outcome !== undefined) ended.resolve(outcome)
        else void own.look()
      },
      async look() {
        clearTimeout(again)
        if (!waits.has(own)) return
        try {
          const found = await status()
          const names = own.names ?? enter(own, namesOf(plan, name, found))
          const told = own.early.splice(0).filter((news) => namesIn(news).some((each) => names.has(each)))
          const outcome = told.map(outcomeOfNews).at(-1) ?? outcomeOf(found)
          if (outcome !== undefined) ended.resolve(outcome)
        } catch (thrown) {
          // A wait that has begun outlives an outage.
          if (own.names === undefined || !asFailure(thrown).retryable) ended.reject(thrown)
          else again = setTimeout(() => void own.look(), lookAgainMs)
        }
      },
    }
    const leave = AbortSignal.any([closing.signal, ...(signal === undefined ? [] : [signal])])
    const abort = () => ended.reject(closing.signal.aborted ? failure('Closed', { what: 'dispatcher' }) : signal?.reason)
    leave.addEventListener('abort', abort, { once: true })
    if (leave.aborted) abort()
    waits.add(own)
    unnamed.add(own)
    const late = setTimeout(() => {
      status().then((found) => ended.resolve(outcomeOf(found) ?? { outcome: 'timeout', status: found }), ended.reject)
    }, timeoutMs)
    try {
      listening(plan).then(() => own.look(), ended.reject)
      return await ended.promise
    } finally {
      clearTimeout(late)
      clearTimeout(again)
      forget(own)
      leave.removeEventListener('abort', abort)
    }
  }

  return {
    stir: resumed,
    wait,
    async end() {
      closing.abort()
      await Promise.allSettled((current?.readers ?? []).map((reader) => reader.stop()))
    },
  }
}

const namesIn = (news: RequestNews): readonly string[] => (news.kind === 'Dead' ? [news.hash, news.entry] : [news.job])

function namesOf(plan: Plan, name: RequestName, { key, entry }: RequestStatus): ReadonlySet<string> {
  const refs = refsOf(plan, name)
  const hashes = key === undefined ? refs.flatMap(({ hash }) => hash ?? []) : [key]
  const entries = [entry?.id, ...refs.map((ref) => ref.entry)].filter((id) => id !== undefined)
  return new Set([...hashes, ...hashes.map((hash) => jobId(plan.config.scope, hash)), ...entries])
}

/** Undefined: the state has to be looked at. */
function outcomeOfNews(news: RequestNews): WaitOutcome | undefined {
  switch (news.kind) {
    case 'Completed':
      return { outcome: 'completed', result: news.result }
    case 'Failed':
      return { outcome: 'failed', error: news.error }
    case 'Removed':
    case 'Dead':
      return undefined
    default:
      return news satisfies never
  }
}

function outcomeOf({ state, job, dead }: RequestStatus): WaitOutcome | undefined {
  switch (state) {
    case 'Completed':
      return { outcome: 'completed', result: job?.result }
    case 'Failed':
      return { outcome: 'failed', error: job?.error ?? '' }
    case 'Dead':
      return dead && { outcome: 'dead', dead }
    case 'NotKept':
      return { outcome: 'notKept' }
    case 'Cancelled':
      return { outcome: 'cancelled' }
    default:
      return undefined
  }
}
