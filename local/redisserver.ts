/**
 * A private redis-server on a Unix socket, in a temporary folder that is deleted at the end.
 *
 * The folder is its user's alone, so no other user of this machine reaches the server, and no other server can answer in its
 * place. A TCP port would be open to all users, on 127.0.0.1 too. The server writes an append-only file: after a crash it is
 * started again on the same socket, with every write that it had answered. It never evicts.
 */
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { asFailure, failure } from '../api/errors.ts'
import { type Child, type ChildOptions, describeExit, startChild } from './child.ts'
import type { Guard } from './guard.ts'
import { provideRedisServer, type System, thisSystem } from './redisinstall.ts'

interface PrivateRedis {
  /** `unix:///path`. */
  readonly url: string
  /** Path of the socket. */
  readonly socket: string
  readonly folder: string
  /** Process id of the server that runs now. */
  readonly pid: number
  /** Ends the server, by force after `graceMs`, and deletes its folder. Idempotent. */
  stop(graceMs?: number): Promise<void>
}

interface PrivateRedisOptions {
  /** Called with a line for each step: installation, a crash, the restart after it. */
  readonly progress?: (line: string) => void
  /** The system to search for programs; default: this machine. */
  readonly system?: System
  /** An existing folder of this user alone; default: a new one in the system's temporary folder. */
  readonly within?: string
  /** Ends the server if this process is killed. */
  readonly guard?: Guard
  /** Added to the server's environment. */
  readonly env?: Readonly<Record<string, string>>
}

const readyWithinMs = 15_000
const shutdownWithinMs = 10_000
const restartPauseMs = 200
/** A socket's path has room for so many bytes, on macOS; Linux has a few more. */
const mostPathBytes = 103

/**
 * Finds a redis-server (or installs Debian's package where it may), starts it and waits until it accepts connections.
 * @throws RedisServerMissing, with the command to type; RedisUnreachable when it doesn't come up; InvalidOption when TMPDIR is too long
 */
export async function startPrivateRedis(options: PrivateRedisOptions = {}): Promise<PrivateRedis> {
  const progress = options.progress ?? (() => {})
  const program = await provideRedisServer(options.system ?? thisSystem(progress))
  const folder = await makeFolder(options.within)
  const childOptions = { guard: options.guard, env: { ...process.env, ...options.env } }
  try {
    // The mode that mkdtemp gives. It keeps other users out, so it is set explicitly.
    await chmod(folder, 0o700)
    const socket = join(folder, 'redis.sock')
    if (Buffer.byteLength(socket) > mostPathBytes) {
      const detail = `${socket} is too long for a Unix socket: name a shorter folder, such as /tmp`
      throw failure('InvalidOption', { option: 'TMPDIR', detail })
    }
    const start = () => startServer(program, folder, socket, childOptions)
    return supervise(start, folder, socket, await start(), progress)
  } catch (thrown) {
    await rm(folder, { recursive: true, force: true })
    throw thrown
  }
}

async function makeFolder(within: string | undefined): Promise<string> {
  if (within === undefined) return await mkdtemp(join(tmpdir(), 'streampipeline-redis-'))
  const folder = join(within, 'redis')
  await mkdir(folder, { mode: 0o700 })
  return folder
}

async function startServer(program: string, folder: string, socket: string, options: ChildOptions): Promise<Child> {
  const settings = {
    port: '0',
    unixsocket: socket,
    unixsocketperm: '600',
    dir: folder,
    daemonize: 'no',
    save: '',
    appendonly: 'yes',
    // Each write reaches the file before its reply, since no background fsync postpones it: a crash of this process loses
    // nothing. A crash of the machine deletes the temporary folder anyway.
    appendfsync: 'no',
    'maxmemory-policy': 'noeviction',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value])
  const child = await startChild(program, args, options)
  const ended = child.exited.then((exit) => ({ exit }))
  const deadline = performance.now() + readyWithinMs
  while (performance.now() < deadline) {
    if (await answersPing(socket)) return child
    const outcome = await Promise.race([ended, sleep(25)])
    if (outcome !== undefined)
      throw unreachable(socket, `redis-server ended (${describeExit(outcome.exit)}): ${child.tail().at(-1) ?? ''}`)
  }
  await child.stop(0)
  throw unreachable(socket, `redis-server did not answer within ${readyWithinMs} ms: ${child.tail().at(-1) ?? ''}`)
}

const unreachable = (socket: string, detail: string) => failure('RedisUnreachable', { address: `unix://${socket}`, detail })

/** Whether PING is answered PONG: not while the append-only file is being loaded. */
function answersPing(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    const end = (answer: boolean) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(1_000, () => end(false))
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('data', (data) => end(String(data).startsWith('+PONG')))
    socket.once('error', () => end(false))
  })
}

type ServerState =
  | { readonly kind: 'Running'; readonly child: Child }
  | { readonly kind: 'Restarting'; readonly since: number }
  | { readonly kind: 'Stopped' }

/** Starts the server again when it ends unasked, until stopped. */
function supervise(
  start: () => Promise<Child>,
  folder: string,
  socket: string,
  first: Child,
  progress: (line: string) => void,
): PrivateRedis {
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
        const next = await start()
        state = { kind: 'Running', child: next }
        pid = next.pid
        progress(`redis-server is back (pid ${pid})`)
        watching = watch(next)
        return
      } catch (thrown) {
        progress(`redis-server could not be started: ${asFailure(thrown).message}`)
      }
    }
  }
  let watching = watch(first)

  const end = async (graceMs: number): Promise<void> => {
    stopping.abort()
    if (state.kind === 'Restarting') await watching
    if (state.kind === 'Running') await state.child.stop(graceMs)
    state = { kind: 'Stopped' }
    await watching
    await rm(folder, { recursive: true, force: true })
  }

  return {
    url: `unix://${socket}`,
    socket,
    folder,
    get pid() {
      return pid
    },
    stop(graceMs = shutdownWithinMs) {
      stopped ??= end(graceMs)
      return stopped
    },
  }
}
