/**
 * A way to Redis that lacks commands, as managed servers and their proxies do. Redis' own `rename-command` also takes a command
 * away from scripts; such providers do not, and nor does this.
 *
 * A refused command goes on to the server as a script that returns the refusal. Replies so keep their order, and a server that
 * hangs or asks for a password still does. Within MULTI the refusal shows in EXEC's reply.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Command, createSplitter, encoded } from '../scenarios/crash/commands.ts'
import type { RedisServer } from './redis.ts'
import type { Scope } from './scope.ts'

export interface ProxyOptions {
  /** Commands, `ROLE`, or a command with its first argument, `CLIENT|NO-EVICT`, `INFO|memory`. */
  readonly refuse: readonly string[]
}

export interface Proxy {
  readonly port: number
  readonly url: string
  /** How many commands it has refused so far. */
  refused(): number
}

/** What goes on to the server in place of a command. */
export type Rewrite = (command: Command) => Buffer | Promise<Buffer>

export async function startProxy(
  scope: Scope,
  server: Pick<RedisServer, 'host' | 'port'>,
  { refuse }: ProxyOptions,
): Promise<Proxy> {
  const rules = new Set(refuse.map((rule) => rule.toUpperCase()))
  let refused = 0

  const forwarded = ({ words: [verb, object], bytes }: Command): Buffer => {
    const refusal = rules.has(verb)
      ? `ERR unknown command '${verb}', with args beginning with: ${object === '' ? '' : `'${object}' `}`
      : rules.has(`${verb}|${object}`) && `ERR unknown subcommand '${object}'. Try ${verb} HELP.`
    if (refusal === false) return bytes
    refused += 1
    return encoded(['EVAL', 'return redis.error_reply(ARGV[1])', '0', refusal])
  }

  const { port } = await startRewritingProxy(scope, server, forwarded)
  return { port, url: `redis://127.0.0.1:${port}`, refused: () => refused }
}

/** A way to Redis on which `rewrite` changes commands. One that takes its time holds up the commands behind it. */
export async function startRewritingProxy(
  scope: Scope,
  server: Pick<RedisServer, 'host' | 'port'>,
  rewrite: Rewrite,
): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>()
  const listener = createServer((near) => {
    const far = connect(server.port, server.host)
    const splitter = createSplitter()
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      // Clients and servers are ended in the middle of a command on purpose.
      socket.on('error', () => undefined)
      socket.once('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    let before: Promise<void> | undefined
    const send = async (waitsFor: Promise<void> | undefined, bytes: Buffer | Promise<Buffer>) => {
      await waitsFor
      far.write(await bytes)
    }
    near.on('data', (chunk: Buffer) => {
      for (const command of splitter.push(chunk)) {
        const bytes = rewrite(command)
        if (before === undefined && Buffer.isBuffer(bytes)) {
          far.write(bytes)
          continue
        }
        const sent = send(before, bytes)
          .catch((thrown: unknown) => {
            far.destroy(thrown instanceof Error ? thrown : new Error(String(thrown)))
          })
          .then(() => {
            if (before === sent) before = undefined
          })
        before = sent
      }
    })
    far.pipe(near)
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  scope.after(async () => {
    const closed = new Promise((resolve) => listener.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  })
  const { port } = listener.address() as AddressInfo
  return { port }
}
