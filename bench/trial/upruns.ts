/**
 * One run of the trial of `up`. It starts over a Redis that gets entries, and ends at a random moment in one of four ways. Its
 * account is then compared with the replies of plain commands, and its leftovers are counted.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { endProcesses, markedProcesses } from '../../test/support/descendants.ts'
import { type RunningProcess, startCli } from '../../test/support/process.ts'
import type { RedisServer } from '../../test/support/redis.ts'
import type { Scope } from '../../test/support/scope.ts'
import { type Offers, startOffers } from './offers.ts'

export const endings = ['Kill', 'Terminate', 'InterruptTwice', 'KillRedis'] as const
export type Ending = (typeof endings)[number]

export interface UpPlan {
  readonly ending: Ending
  /** With a Redis of its own. */
  readonly private: boolean
  /** While it starts, not when it works. */
  readonly early: boolean
}

export interface Lane {
  readonly server: RedisServer
  readonly client: Redis
  readonly file: string
  /** The runs of this lane put their temporary files here, apart from those of other runs on this machine. */
  readonly folder: string
  readonly stream: string
  readonly group: string
  readonly deadLetters: string
  readonly queue: string
  /** Keys that the stream accepted, over all runs. */
  readonly keys: Set<string>
  readonly random: () => number
}

export interface UpTried {
  readonly plan: UpPlan
  /** Whether it gave an account. */
  readonly accounted: boolean
  /** Why the account, or the exit code, is not true. */
  readonly falsehoods: readonly string[]
  /** Processes that ran on for five seconds. */
  readonly left: readonly string[]
}

/** A busy machine starts a process slowly. */
const startedWithinMs = 180_000
/** When it is ended: since its start, or since its consumer works. */
const [earlyWithinMs, workingWithinMs] = [5_000, 1_500]
const endedWithinMs = 120_000
const goneWithinMs = 5_000
const variable = 'STREAMPIPELINE_UP_TRIAL'

export async function tryUp(scope: Scope, lane: Lane, plan: UpPlan): Promise<UpTried> {
  const { random } = lane
  const mark = randomUUID()
  const before = plan.private ? nothing : await truthOf(lane.client, lane)
  const args = ['up', '-f', lane.file, '-o', 'json', ...(plan.private ? ['--redis', 'private'] : [])]
  const up = await startCli(scope, args, { env: { TMPDIR: lane.folder, [variable]: mark } })
  const reached = plan.private ? await ownRedis(up, plan.early) : { client: lane.client, close: async () => undefined }
  // Without the keys of the lane: a private Redis and its data end with the run.
  const offers = reached && startOffers(reached.client, lane.stream, plan.private ? new Set() : lane.keys, random)
  if (!plan.early) await up.output(/serves its metrics/, { timeoutMs: startedWithinMs })
  await sleep(random() * (plan.early ? earlyWithinMs : workingWithinMs))
  await end(up, lane, plan, offers)
  await offers?.stop()
  const exit = await Promise.race([up.exit, sleep(endedWithinMs, undefined, { ref: false })])
  const left = await processesLeft(mark)
  const falsehoods: string[] = exit === undefined ? [`it had not ended ${endedWithinMs} ms later`] : []
  if (exit === undefined) await up.stop('SIGKILL', 0)
  const account = readAccount(up.stdout())
  if (exit !== undefined) falsehoods.push(...exitClaims(plan, exit.code, account !== undefined))
  if (account !== undefined) {
    falsehoods.push(
      ...(plan.private ? againstOffers(account, offers) : against(account, before, await truthOf(lane.client, lane))),
    )
  }
  await reached?.close()
  const reported = falsehoods.length === 0 ? [] : [`output: ${up.stderr().slice(-1_500)}`]
  return { plan, accounted: account !== undefined, falsehoods: [...falsehoods, ...reported], left }
}

/** A client of the private Redis, where it has come that far. */
async function ownRedis(
  up: RunningProcess,
  early: boolean,
): Promise<{ client: Redis; close: () => Promise<undefined> } | undefined> {
  if (early) return undefined
  const [, path = ''] = await up.output(/private Redis at unix:\/\/(\S+) /, { timeoutMs: startedWithinMs })
  const client = new Redis(path, { maxRetriesPerRequest: 0, retryStrategy: () => 50 })
  client.on('error', () => undefined)
  return {
    client,
    async close() {
      client.disconnect()
      return undefined
    },
  }
}

async function end(up: RunningProcess, lane: Lane, plan: UpPlan, offers: Offers | undefined): Promise<void> {
  const { random } = lane
  switch (plan.ending) {
    case 'Kill':
      up.signal('SIGKILL')
      return
    case 'Terminate':
      // The account must have every entry that was added by then.
      await offers?.stop()
      up.signal('SIGTERM')
      return
    case 'InterruptTwice':
      // The second may come too late, and then there is an account, too.
      await offers?.stop()
      up.signal('SIGINT')
      await sleep(random() * 300)
      up.signal('SIGINT')
      return
    case 'KillRedis':
      await killRedis(up, lane, plan, offers)
      return
    default:
      plan.ending satisfies never
  }
}

/** It comes back before the run is asked to end, or after. */
async function killRedis(up: RunningProcess, { server, random }: Lane, plan: UpPlan, offers: Offers | undefined): Promise<void> {
  const backFirst = random() < 0.6
  if (plan.private) {
    const pid = /private Redis at \S+ \(pid (\d+)\)/.exec(up.stderr())?.[1]
    if (pid !== undefined) killQuietly(Number(pid))
    if (backFirst) await sleep(random() * 2_000)
    await offers?.stop()
    up.signal('SIGTERM')
    return
  }
  await server.kill('SIGKILL')
  await sleep(random() * 1_000)
  if (backFirst) {
    await server.start()
    await sleep(random() * 2_000)
    await offers?.stop()
    up.signal('SIGTERM')
  } else {
    await offers?.stop()
    up.signal('SIGTERM')
    await sleep(random() * 2_000)
    await server.start()
  }
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Ended meanwhile.
  }
}

async function processesLeft(mark: string): Promise<readonly string[]> {
  const deadline = performance.now() + goneWithinMs
  for (;;) {
    const left = await markedProcesses(variable, mark)
    if (left.length === 0) return []
    if (performance.now() > deadline) {
      endProcesses(left)
      return left.map(({ pid, command }) => `${pid} ${command}`)
    }
    await sleep(50)
  }
}

/** Counts from plain commands, without the ledger. */
interface Truth {
  readonly added: number
  readonly waiting: number
  readonly jobs: number
  readonly deadLetters: number
}

const nothing: Truth = { added: 0, waiting: 0, jobs: 0, deadLetters: 0 }

export async function truthOf(client: Redis, { stream, group, deadLetters, queue }: Omit<Lane, 'client'>): Promise<Truth> {
  if ((await client.exists(stream)) === 0) return nothing
  const info = fields(await client.xinfo('STREAM', stream))
  const groups = ((await client.xinfo('GROUPS', stream)) as unknown[]).map(fields)
  const own = groups.find((each) => each['name'] === group)
  const undelivered = (await client.xrange(stream, `(${String(own?.['last-delivered-id'] ?? '0-0')}`, '+')).length
  return {
    added: Number(info['entries-added']),
    waiting: undelivered + Number(own?.['pending'] ?? 0),
    jobs: await client.llen(`bull:${queue}:wait`),
    deadLetters: await client.xlen(deadLetters),
  }
}

function fields(flat: unknown): Record<string, unknown> {
  const list = Array.isArray(flat) ? flat : []
  return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [String(list[i * 2]), list[i * 2 + 1]]))
}

type Account = Readonly<Record<string, unknown>>

function readAccount(stdout: string): Account | undefined {
  return stdout.trim() === '' ? undefined : (JSON.parse(stdout) as Account)
}

function exitClaims({ ending, early }: UpPlan, code: number | null, accounted: boolean): string[] {
  const known = (() => {
    switch (ending) {
      case 'Kill':
        return code === null || (early && code !== 0)
      case 'InterruptTwice':
        // The second may come when all is done, or both before a listener exists.
        return code === 130 || (code === 0 && accounted) || (early && code === null)
      case 'Terminate':
        return (code === 0 && accounted) || (early && code === null)
      case 'KillRedis':
        return (code === 0 && accounted) || (early && !accounted)
      default:
        return ending satisfies never
    }
  })()
  return known ? [] : [`it ended with ${code}, ${accounted ? 'with' : 'without'} an account`]
}

const sums = ['entries', 'forwarded', 'duplicates', 'deadLetters', 'left', 'maxReplicas', 'history'] as const

/** Every number that is there, none negative, and nothing remarkable: neither lost nor foreign entries are expected. */
function numbersOf(account: Account): {
  readonly numbers: Readonly<Record<(typeof sums)[number], number>>
  readonly wrong: string[]
} {
  const strange = Object.keys(account).filter((name) => !sums.some((known) => known === name))
  const numbers = Object.fromEntries(sums.map((name) => [name, Number(account[name] ?? 0)]))
  const negative = sums.filter((name) => !((numbers[name] ?? -1) >= 0))
  const wrong = [...strange, ...negative].map((name) => `${name} is ${JSON.stringify(account[name])}`)
  return { numbers: numbers as Record<(typeof sums)[number], number>, wrong }
}

function against(account: Account, before: Truth, after: Truth): string[] {
  const { numbers, wrong } = numbersOf(account)
  const { entries, history, forwarded, duplicates, deadLetters, left } = numbers
  const grown = after.added - before.added
  const settled = before.waiting + grown - after.waiting
  const pairs = [
    ['entries with those before', history + entries, before.waiting + grown],
    ['forwarded', forwarded, after.jobs - before.jobs],
    ['dead letters', deadLetters, after.deadLetters - before.deadLetters],
    ['left', left, after.waiting],
    ['settled', forwarded + duplicates + deadLetters, settled],
  ] as const
  return [
    ...wrong,
    ...pairs.flatMap(([name, reported, true_]) => (reported === true_ ? [] : [`${name}: reported ${reported}, true ${true_}`])),
  ]
}

function againstOffers(account: Account, offers: Offers | undefined): string[] {
  const { numbers, wrong } = numbersOf(account)
  const { history, forwarded, duplicates, deadLetters, left } = numbers
  const entries = history + numbers.entries
  const { accepted = 0, unknown = 0 } = offers ?? {}
  const inside = entries >= accepted && entries <= accepted + unknown
  return [
    ...wrong,
    ...(inside ? [] : [`entries: reported ${entries}, accepted ${accepted}, unknown ${unknown}`]),
    ...(forwarded + duplicates + deadLetters + left === entries ? [] : [`it does not add up: ${JSON.stringify(account)}`]),
  ]
}
