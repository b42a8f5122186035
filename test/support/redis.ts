/** A private redis-server for a test or a test file: own port on 127.0.0.1, own folder, gone afterwards. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis, type RedisOptions } from 'ioredis'
import { createDaemon, StartFailed } from './daemon.ts'
import { freePort } from './port.ts'
import { afterAllElse, type Scope } from './scope.ts'

export interface RedisServerOptions {
  /** More of the server's arguments, `['--maxmemory', '8mb']`; they win over the defaults. Asked for anew when a port was taken. */
  args?: readonly string[] | (() => Promise<readonly string[]>)
  /** Keep data over restarts in an append-only file that is synced at each write; default off. */
  appendonly?: boolean
  /** Required from every client. `client()` and `url` have it. */
  password?: string
  /** The program, for other versions; default $REDIS_SERVER or `redis-server`. */
  binary?: string
}

/** The reply mapping picks another type of client; tests use the plain one. */
export type ClientOptions = Omit<RedisOptions, 'replyMapping'>

export interface RedisServer {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly url: string
  /** Where its files are. */
  readonly folder: string
  /** Changes with each start. */
  readonly pid: number
  readonly running: boolean
  /** A connected-on-demand client, closed when the scope ends. Errors show in the commands, not as events. */
  client(options?: ClientOptions): Redis
  log(): string
  start(): Promise<void>
  /** SIGTERM, awaited. */
  stop(): Promise<void>
  /** Stops with the signal (default SIGTERM) and starts again on the same port. Without `appendonly` it comes back empty. */
  restart(signal?: NodeJS.Signals): Promise<void>
  /** Sends the signal; default SIGKILL, awaited. SIGSTOP and SIGCONT return at once. */
  kill(signal?: NodeJS.Signals): Promise<void>
}

/** `startRedis(t)`, or `startRedis({ after })` for a whole file. Resolves when the server accepts connections. */
export const startRedis = async (scope: Scope, options: RedisServerOptions = {}): Promise<RedisServer> => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-redis-'))
  const { port, daemon } = await startOnFreePort(folder, options).catch(async (thrown: unknown) => {
    await rm(folder, { recursive: true, force: true })
    throw thrown
  })
  const clients = new Set<Redis>()
  scope.after(() => closeAll(clients))
  afterAllElse(scope, async () => {
    await closeAll(clients)
    await daemon.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const secret = options.password === undefined ? '' : `:${encodeURIComponent(options.password)}@`
  return {
    host: '127.0.0.1',
    port,
    url: `redis://${secret}127.0.0.1:${port}`,
    folder,
    get pid() {
      return daemon.pid
    },
    get running() {
      return daemon.running
    },
    client: (more = {}) => {
      const settings: ClientOptions = { host: '127.0.0.1', port, ...more }
      if (options.password !== undefined) settings.password ??= options.password
      const client = new Redis(settings)
      // Without a listener the client prints each lost connection; tests kill servers on purpose.
      client.on('error', () => undefined)
      clients.add(client)
      return client
    },
    log: () => daemon.log(),
    start: () => daemon.start(),
    stop: () => daemon.stop(),
    kill: (signal) => daemon.kill(signal),
    restart: async (signal) => {
      await daemon.stop(signal)
      await daemon.start()
    },
  }
}

const startOnFreePort = async (folder: string, options: RedisServerOptions) => {
  for (let tries = 1; ; tries += 1) {
    const port = await freePort()
    const daemon = createDaemon({
      name: 'redis-server',
      command: options.binary ?? process.env.REDIS_SERVER ?? 'redis-server',
      args: await serverArguments(port, folder, options),
      ready: (log) => log.includes('Ready to accept connections'),
      timeoutMs: 60_000,
    })
    try {
      await daemon.start()
      return { port, daemon }
    } catch (thrown) {
      const taken = thrown instanceof StartFailed && thrown.message.includes('Address already in use')
      if (!taken || tries === 5) throw thrown
    }
  }
}

const serverArguments = async (port: number, folder: string, options: RedisServerOptions): Promise<string[]> => [
  ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--daemonize', 'no'],
  ...['--save', '', '--maxmemory-policy', 'noeviction'],
  ...(options.appendonly ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']),
  ...(options.password === undefined ? [] : ['--requirepass', options.password]),
  ...(typeof options.args === 'function' ? await options.args() : (options.args ?? [])),
]

const closeAll = async (clients: Set<Redis>): Promise<void> => {
  const open = [...clients].filter((client) => client.status !== 'end' && client.status !== 'wait')
  clients.clear()
  await Promise.all(
    open.map((client) => {
      // Between two attempts ioredis stops trying, without an event. (Its type of states lacks this one.)
      const status: string = client.status
      if (status === 'reconnecting') return client.disconnect()
      const ended = new Promise((resolve) => client.once('end', resolve))
      client.disconnect()
      return ended
    }),
  )
}
