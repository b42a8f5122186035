/**
 * A way to Redis that lacks commands, as managed servers and their proxies do. Redis' own `rename-command` also takes a command
 * away from scripts; such providers do not, and nor does this.
 *
 * A refused command goes on to the server as a script that returns the refusal. Replies so keep their order, and a server that
 * hangs or asks for a password still does. Within MULTI the refusal shows in EXEC's reply.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Command, createSplitter } from '../crash/commands.ts'
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

export async function startProxy(
  scope: Scope,
  server: Pick<RedisServer, 'host' | 'port'>,
  { refuse }: ProxyOptions,
): Promise<Proxy> {
  const rules = new Set(refuse.map((rule) => rule.toUpperCase()))
  const sockets = new Set<Socket>()
  let refused = 0

  const forwarded = ({ words: [verb, object], bytes }: Command): Buffer => {
    const refusal = rules.has(verb)
      ? `ERR unknown command '${verb}', with args beginning with: ${object === '' ? '' : `'${object}' `}`
      : rules.has(`${verb}|${object}`) && `ERR unknown subcommand '${object}'. Try ${verb} HELP.`
    if (refusal === false) return bytes
    refused += 1
    return encoded('EVAL', 'return redis.error_reply(ARGV[1])', '0', refusal)
  }

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
    near.on('data', (chunk: Buffer) => {
      for (const command of splitter.push(chunk)) far.write(forwarded(command))
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
  return { port, url: `redis://127.0.0.1:${port}`, refused: () => refused }
}

function encoded(...words: readonly string[]): Buffer {
  return Buffer.from(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)
}
