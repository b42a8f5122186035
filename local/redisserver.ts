/**
 * A private redis-server: own port on 127.0.0.1, own temporary folder, gone afterwards. It writes an append-only file, so that
 * a crash of the server (which is then started again, on the same port) loses nothing that it had answered; and it never
 * evicts, as any Redis that holds a queue.
 */
import { randomInt } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { failure } from '../api/errors.ts'
import { type Child, describeExit, startChild } from './child.ts'
import { provideRedisServer, type System, thisSystem } from './redisinstall.ts'

interface PrivateRedis {
  readonly url: string
  readonly port: number
  readonly folder: string
  /** Process id of the server that runs now. */
  readonly pid: number
  /** Ends the server and deletes its folder. Idempotent. */
  stop(): Promise<void>
}

interface PrivateRedisOptions {
  /** Told what is going on, a line at a time: installation, a crash and the restart after it. */
  readonly progress?: (line: string) => void
  /** What to look for programs in; this machine unless a test says otherwise. */
  readonly system?: System
}

/** Below what kernels give to outgoing connections, so that the port is still free when the server is started again. */
const portRange = [20_000, 32_000] as const
const portTries = 20
const readyWithinMs = 15_000
const shutdownWithinMs = 10_000
const restartPauseMs = 200

/**
 * Finds a redis-server (or installs Debian's package where it may), starts it and waits until it accepts connections.
 * @throws RedisServerMissing, with what to type; RedisUnreachable when it doesn't come up
 */
export async function startPrivateRedis(options: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const progress = options.progress ?? (() => {})
  const program = await provideRedisServer(options.system ?? thisSystem(progress))
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-redis-'))
  try {
    const { port, child } = await startOnFreePort(program, folder)
    return supervise(program, folder, port, child, progress)
  } catch (thrown) {
    await rm(folder, { recursive: true, force: true })
    throw thrown
  }
}

async function startOnFreePort(program: string, folder: string): Promise<{ port: number; child: Child }> {
  for (let tries = 1; ; tries++) {
    const port = randomInt(...portRange)
    // A connection that succeeds would be somebody else's server.
    if (await accepts(port)) continue
    try {
      return { port, child: await startServer(program, folder, port) }
    } catch (thrown) {
      if (tries >= portTries) throw thrown
    }
  }
}

async function startServer(program: string, folder: string, port: number): Promise<Child> {
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir: folder,
    daemonize: 'no',
    save: '',
    appendonly: 'yes',
    // Every write reaches the file before its reply leaves, as no background fsync can postpone it: what a crash of this
    // process must not lose. A crash of the machine takes the temporary folder with it anyway.
    appendfsync: 'no',
    'maxmemory-policy': 'noeviction',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const child = await startChild(program, args)
  const ended = child.exited.then((exit) => ({ exit }))
  const deadline = performance.now() + readyWithinMs
  while (performance.now() < deadline) {
    if (await answersPing(port)) return child
    const outcome = await Promise.race([ended, sleep(25)])
    if (outcome !== undefined)
      throw unreachable(port, `redis-server ended (${describeExit(outcome.exit)}): ${child.tail().at(-1) ?? ''}`)
  }
  await child.stop(0)
  throw unreachable(port, `redis-server did not answer within ${readyWithinMs} ms: ${child.tail().at(-1) ?? ''}`)
}

const unreachable = (port: number, detail: string) => failure('RedisUnreachable', { address: `127.0.0.1:${port}`, detail })

/** Whether PING is answered PONG: not while the append-only file is being loaded. */
async function answersPing(port: number): Promise<boolean> {
  return (await ask(port, 'PING\r\n'))?.startsWith('+PONG') ?? false
}

const accepts = async (port: number): Promise<boolean> => (await ask(port, 'PING\r\n')) !== undefined

/** The first bytes of the answer; undefined when nothing listens there. */
function ask(port: number, request: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const end = (answer: string | undefined) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => end(''))
    socket.once('connect', () => socket.write(request))
    socket.once('data', (data) => end(String(data)))
    socket.once('error', () => end(undefined))
  })
}

type ServerState =
  | { readonly kind: 'Running'; readonly child: Child }
  | { readonly kind: 'Restarting'; readonly since: number }
  | { readonly kind: 'Stopped' }

/** Starts the server again when it ends unasked, until stopped. */
function supervise(program: string, folder: string, port: number, first: Child, progress: (line: string) => void): PrivateRedis {
  let state: ServerState = { kind: 'Running', child: first }
  let pid = first.pid
  let stopped: Promise<void> | undefined
  const stopping = new AbortController()

  const watch = async (child: Child): Promise<void> => {
    const exit = await child.exited
    if (stopping.signal.aborted) return
    state = { kind: 'Restarting', since: performance.now() }
    progress(`redis-server ended (${describeExit(exit)}); starting it again over its append-only file`)
    while (!stopping.signal.aborted) {
      try {
        await sleep(restartPauseMs)
        const next = await startServer(program, folder, port)
        state = { kind: 'Running', child: next }
        pid = next.pid
        progress(`redis-server is back (pid ${pid})`)
        watching = watch(next)
        return
      } catch (thrown) {
        progress(`redis-server could not be started: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
      }
    }
  }
  let watching = watch(first)

  const end = async (): Promise<void> => {
    stopping.abort()
    if (state.kind === 'Restarting') await watching
    if (state.kind === 'Running') await state.child.stop(shutdownWithinMs)
    state = { kind: 'Stopped' }
    await watching
    await rm(folder, { recursive: true, force: true })
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    folder,
    get pid() {
      return pid
    },
    stop() {
      stopped ??= end()
      return stopped
    },
  }
}
