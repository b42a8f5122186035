/**
 * Waiting for the end of a request. Events report it. So a wait reads the request's state only when it begins, after each lost
 * connection, and when its time is up. Events may be missed or trimmed: the state is the truth.
 */
import { asFailure, failure, type StreamPipelineError } from '../api/errors.ts'
import { deferred } from '../process/deferred.ts'
import { jobId } from '../redis/keys.ts'
import type { RequestStatus } from '../redis/status/summary.ts'
import type { RequestNews } from './events.ts'
import type { Links } from './links.ts'
import { createListening } from './listening.ts'
import type { Plan } from './plan.ts'
import { type RequestName, refsOf } from './requestname.ts'
import { statusOf } from './status.ts'
import { outcomeOf, type WaitOutcome } from './verdicts.ts'
import { waitTime } from './waittime.ts'

export interface WaitOptions {
  /** Milliseconds, 0 to 2,147,483,647. Default 60,000. Another number throws InvalidOption. */
  readonly timeoutMs?: number | undefined
  /** Ends the wait when it aborts. The wait then throws the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

interface Waiting {
  /** Makes the waits of this dispatcher look at the state: something happened of which no event speaks. */
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

  const heard = (news: RequestNews) => {
    for (const wait of unnamed) if (wait.early.length < mostEarly) wait.early.push(news)
    const heardBy = new Set(namesIn(news).flatMap((name) => [...(named.get(name) ?? [])]))
    for (const wait of heardBy) wait.hear(news)
  }
  const resumed = () => {
    for (const wait of waits) void wait.look()
  }
  const failed = (thrown: unknown) => onError(asFailure(thrown))

  const listening = createListening(links, { heard, resumed, failed })

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

  async function wait(plan: Plan, name: RequestName, { timeoutMs, signal }: WaitOptions): Promise<WaitOutcome> {
    const mostMs = waitTime(timeoutMs)
    const ended = deferred<WaitOutcome>()
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
          const heard = own.early.splice(0).filter((news) => namesIn(news).some((each) => names.has(each)))
          const outcome = heard.map(outcomeOfNews).at(-1) ?? outcomeOf(found)
          if (outcome !== undefined) ended.resolve(outcome)
          // The readers moved to another queue: no event of this one comes any more.
          else if (!listening.hears(plan)) again = setTimeout(() => void own.look(), lookAgainMs)
        } catch (thrown) {
          // A wait that has begun outlives an outage.
          if (own.names === undefined || !asFailure(thrown).retryable) ended.reject(thrown)
          else again = setTimeout(() => void own.look(), lookAgainMs)
        }
      },
    }
    const leave = AbortSignal.any([closing.signal, ...(signal === undefined ? [] : [signal])])
    // Without this a wait that has ended already would open a connection that no later `end` closes.
    if (leave.aborted) throw whyLeft(closing.signal, signal)
    const abort = () => ended.reject(whyLeft(closing.signal, signal))
    leave.addEventListener('abort', abort, { once: true })
    waits.add(own)
    unnamed.add(own)
    const late = setTimeout(() => {
      status().then((found) => ended.resolve(outcomeOf(found) ?? { outcome: 'timeout', status: found }), ended.reject)
    }, mostMs)
    try {
      listening.begin(plan).then(() => own.look(), ended.reject)
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
      await listening.end()
    },
  }
}

const whyLeft = (closing: AbortSignal, own: AbortSignal | undefined): unknown =>
  closing.aborted ? failure('Closed', { what: 'dispatcher' }) : own?.reason

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
