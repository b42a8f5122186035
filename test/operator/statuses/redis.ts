/** Simulated Redis servers: what a look at them reads, and the faults that a look may meet. */
import { failure } from '../../../api/errors.ts'
import { addressId, type RedisConnections } from '../../../operator/observe/connections.ts'
import { createSemaphore } from '../../../process/semaphore.ts'
import type { RedisConnection } from '../../../redis/connect/connection.ts'
import { keySpace } from '../../../redis/keys.ts'
import { epochMs, type Time } from './time.ts'

export type ServerState = 'Up' | 'Refused' | 'Silent' | 'WrongPassword' | 'Loading' | 'Replica' | 'NoRights' | 'WrongType'

/** One stream with its group. */
export interface StreamTruth {
  readonly added: number
  readonly undelivered: number
  readonly pending: number
  readonly lost: number
  readonly dead: number
  /** Of the oldest entry that waits. */
  readonly oldestMs: number
  readonly lastAddedMs: number
  readonly queueWaiting: number
  readonly queuePaused: boolean
  /** Of another cluster. */
  readonly claimed: boolean
  /** Name → uid, and the time of the last heartbeat. */
  readonly consumers: ReadonlyMap<string, { readonly uid: string; readonly beatMs: number }>
}

export interface ServerTruth {
  readonly state: ServerState
  /** By `stream group`. */
  readonly streams: ReadonlyMap<string, StreamTruth>
}

const emptyStream: StreamTruth = {
  added: 0,
  undelivered: 0,
  pending: 0,
  lost: 0,
  dead: 0,
  oldestMs: 0,
  lastAddedMs: Number.NEGATIVE_INFINITY,
  queueWaiting: 0,
  queuePaused: false,
  claimed: false,
  consumers: new Map(),
}

/** A look that a server answered, or that failed. */
export interface LookTruth {
  readonly atMs: number
  readonly server: string
  readonly stream: string
  readonly ok: boolean
}

/** Heartbeats were read. A look reads them after its stream. */
export interface HeartbeatsRead {
  readonly atMs: number
  readonly server: string
}

export interface RedisWorld {
  server(name: string): ServerTruth
  stream(server: string, id: string): StreamTruth
  all(): ReadonlyMap<string, ServerTruth>
  setState(name: string, state: ServerState): void
  setStream(server: string, id: string, more: Partial<StreamTruth>): void
  connections(alive: () => boolean): RedisConnections
}

interface Parts {
  readonly time: Time
  readonly random: () => number
  readonly onChange: () => void
  readonly onLook: (look: LookTruth) => void
  readonly onHeartbeats: (read: HeartbeatsRead) => void
}

const commandMs = 3_000
const heartbeatMs = 15_000

export function createRedisWorld({ time, random, onChange, onLook, onHeartbeats }: Parts): RedisWorld {
  let servers: ReadonlyMap<string, ServerTruth> = new Map()
  /** By stats key; kept by the servers. */
  const claims = new Map<string, { readonly uid: string; readonly holder: string }>()
  const server = (name: string): ServerTruth => servers.get(name) ?? { state: 'Up', streams: new Map() }

  function setServer(name: string, truth: ServerTruth): void {
    servers = new Map(servers).set(name, truth)
    onChange()
  }

  const stream = (name: string, id: string) => server(name).streams.get(id) ?? emptyStream

  function setStream(name: string, id: string, more: Partial<StreamTruth>): void {
    const truth = server(name)
    setServer(name, { ...truth, streams: new Map(truth.streams).set(id, { ...stream(name, id), ...more }) })
  }

  /** Any command of a connection to that server. Throws what a real one fails with. */
  function command(name: string, verb: string, args: readonly string[]): unknown {
    if (verb === 'ping' || verb === 'set' || verb === 'hset') return 'OK'
    const now = epochMs + Math.floor(time.nowMs)
    switch (verb) {
      case 'spScalingState':
        return ['', String(now)]
      case 'spCheckAcl':
        return [server(name).state === 'NoRights' ? [1] : []]
      case 'spKeyTypes':
        return [args.slice(1).map(() => 'none')]
      case 'spClaimStream':
        return claim(name, args)
      case 'spLookAtQueue': {
        const queue = [...server(name).streams.values()].find(({ queueWaiting, queuePaused }) => queueWaiting > 0 || queuePaused)
        return [queue?.queuePaused === true ? 1 : 0, queue?.queueWaiting ?? 0]
      }
      case 'spLookAtStream':
        return look(name, args[1] ?? '', args[5] ?? '')
      case 'spEnsureGroup':
        return ['created', '0-0']
      case 'spReap': {
        const [, , , , , , , group = '', consumer = ''] = args
        const id = `${args[1] ?? ''} ${group}`
        const consumers = new Map(stream(name, id).consumers)
        consumers.delete(consumer)
        setStream(name, id, { consumers })
        return ['Gone', '', 0, 0, 0, 0, '', '', '', '']
      }
      case 'mget':
        return args.map((key) => heartbeat(name, key))
      default:
        throw new Error(`the simulated Redis has no ${verb}`)
    }
  }

  function claim(name: string, [, stats = '', uid = '', holder = '', gone = '']: readonly string[]): unknown {
    const id = `${name} ${stats}`
    const strange = [...server(name).streams].find(([key, truth]) => truth.claimed && statsOf(key) === stats)
    const held =
      strange === undefined
        ? claims.get(id)
        : { uid: 'other', holder: '{"cluster":"other","namespace":"n","name":"other","uid":"other"}' }
    if (held !== undefined && held.uid !== uid && held.uid !== gone) return [0, held.holder]
    claims.set(id, { uid, holder })
    return [1, holder]
  }

  const spaces = new Map<string, ReturnType<typeof keySpace>>()
  function spaceOf(id: string): ReturnType<typeof keySpace> {
    const [stream = '', group = ''] = id.split(' ')
    const space = spaces.get(id) ?? keySpace(stream, group)
    spaces.set(id, space)
    return space
  }
  const statsOf = (id: string) => spaceOf(id).stats

  function heartbeat(name: string, key: string): string | null {
    for (const [id, { consumers }] of server(name).streams) {
      const keys = spaceOf(id)
      for (const [consumer, { uid, beatMs }] of consumers)
        if (keys.consumer(consumer) === key && time.nowMs - beatMs < heartbeatMs)
          return heartbeatText(uid, epochMs + Math.floor(beatMs))
    }
    return null
  }

  function look(name: string, streamName: string, group: string): unknown {
    const { state } = server(name)
    const id = `${streamName} ${group}`
    const truth = stream(name, id)
    const now = epochMs + Math.floor(time.nowMs)
    const head = [[String(Math.floor(now / 1000)), String((now % 1000) * 1000)], registryOf(truth)]
    if (state === 'WrongType') return [...head, [], 0, 'string']
    const { added, undelivered, pending, lost, dead, oldestMs } = truth
    const at = (ms: number, n: number) => `${epochMs + Math.round(ms)}-${n}`
    const page = Math.min(64, undelivered)
    const ids = Array.from({ length: page }, (_, n) => at(oldestMs, n + 1))
    const last = truth.lastAddedMs > 0 ? at(truth.lastAddedMs, added + 1) : '0-0'
    const cursor = undelivered > 0 ? at(oldestMs, 0) : last
    const length = undelivered + pending
    const consumers = [...truth.consumers.keys()]
    const [holder = 'someone'] = consumers.toSorted((a, b) => beatOf(truth, b) - beatOf(truth, a))
    const settled = added - pending - lost - undelivered
    return [
      ...head,
      ['0', String(settled), '0', String(lost), '0', null, null, null, null],
      dead,
      'stream',
      [length, added, last, length === 0 ? null : pending > 0 ? at(oldestMs - 1, 0) : ids[0]],
      [cursor, undelivered],
      [64, ids],
      [pending, pending > 0 ? [[holder, pending]] : []],
      pending > 0 ? [[at(oldestMs - 1, 0), holder, 10, 1]] : [],
      consumers.map((consumer) => [consumer, consumer === holder ? pending : 0, 10]),
    ]
  }

  function send(name: string, verb: string, args: readonly string[], alive: () => boolean): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { state } = server(name)
      const after = (ms: number, call: () => void) => time.at(ms, () => (alive() ? call() : undefined))
      const answer = (ok: boolean) => {
        if (verb === 'mget' && ok) onHeartbeats({ atMs: time.nowMs, server: name })
        if (verb === 'spLookAtStream' || !ok)
          onLook({ atMs: time.nowMs, server: name, stream: `${args[1] ?? ''} ${args[5] ?? ''}`, ok })
      }
      const fail = (ms: number, message: string, errorName: string) =>
        after(ms, () => {
          answer(false)
          reject(Object.assign(new Error(message), { name: errorName }))
        })
      if (state === 'Refused') return void fail(3, 'connect ECONNREFUSED 10.0.0.1:6379', 'Error')
      if (state === 'Silent') return void fail(commandMs, 'Command timed out', 'Error')
      if (state === 'WrongPassword') return void fail(5, 'WRONGPASS invalid username-password pair', 'ReplyError')
      if (state === 'Loading') return void fail(5, 'LOADING Redis is loading the dataset in memory', 'ReplyError')
      after(1 + 10 * random(), () => {
        if (server(name).state === 'Refused') return void fail(0, 'Connection is closed.', 'Error')
        try {
          const reply = command(name, verb, args)
          answer(true)
          resolve(reply)
        } catch (thrown) {
          reject(thrown)
        }
      })
    })
  }

  function connectionOf(name: string, alive: () => boolean): RedisConnection {
    const known: Record<string, unknown> = { status: 'ready', isCluster: false, options: {}, defineCommand: () => undefined }
    return new Proxy(known, {
      get: (target, verb) => {
        if (typeof verb !== 'string' || verb in target || verb === 'then') return target[String(verb)]
        return (...args: readonly unknown[]) => {
          const texts = args.flat().map(String)
          return send(
            name,
            // A script's command ends in a digest of its text.
            verb === 'call' ? (texts[0] ?? '') : verb.replace(/(?:_[0-9a-f]{16})?(?:Buffer)?$/, ''),
            verb === 'call' ? texts.slice(1) : texts,
            alive,
          )
        }
      },
    }) as unknown as RedisConnection
  }

  return {
    server,
    stream,
    all: () => servers,
    setState(name, state) {
      setServer(name, { ...server(name), state })
    },
    setStream,
    connections(alive) {
      const held = new Map<string, { readonly connection: RedisConnection; readonly looks: ReturnType<typeof createSemaphore> }>()
      return {
        lease(address) {
          const id = addressId(address)
          const name = address.kind === 'Server' ? address.host : ''
          const entry = held.get(id) ?? { connection: connectionOf(name, alive), looks: createSemaphore(16) }
          held.set(id, entry)
          return {
            ...entry,
            address,
            id,
            async serverFit() {
              await send(name, 'ping', [], alive)
              if (server(name).state === 'Replica')
                throw failure('RedisNotReady', { address: name, reply: 'READONLY', detail: 'it is a replica of x:1' })
            },
            enter: async () => () => {},
            enterNow: () => () => {},
            release: async () => {},
          }
        },
        enter: async () => () => {},
        close: async () => {},
      }
    },
  }
}

function registryOf({ consumers }: StreamTruth): readonly string[] {
  return [...consumers].flatMap(([name, { uid }]) => [name, uid])
}

const beatOf = ({ consumers }: StreamTruth, name: string): number => consumers.get(name)?.beatMs ?? 0

function heartbeatText(uid: string, at: number): string {
  const counts = { inFlight: 0, serviceMs: 50, forwarded: 0, duplicates: 0, dead: 0, reclaimed: 0 }
  return JSON.stringify({ uid, at, state: 'Running', path: 'Atomic', ...counts })
}
