/**
 * A way through a SOCKS5 proxy (RFC 1928), with user and password where the proxy asks for them (RFC 1929). The proxy resolves the server's
 * name, as with kubectl.
 */
import { connect, isIPv4, isIPv6, type Socket } from 'node:net'

interface SocksPlace {
  readonly host: string
  readonly port: number
}

interface SocksProxy extends SocksPlace {
  /** Empty: none. */
  readonly username: string
  readonly password: string
  readonly timeoutMs: number
}

const version = 5
const method = { none: 0, password: 2 } as const
const command = { connect: 1 } as const
/** Bytes of a name, a user or a password: each has one byte for its length. */
const longest = 255
const kind = { ipv4: 1, name: 3, ipv6: 4 } as const

/** @throws Error that names the proxy and the cause, and no password */
export async function throughSocks(proxy: SocksProxy, target: SocksPlace): Promise<Socket> {
  const socket = connect({ host: proxy.host, port: proxy.port })
  const slow = new Error(`the proxy ${proxy.host} did not answer within ${proxy.timeoutMs} ms`)
  const deadline = setTimeout(() => socket.destroy(slow), proxy.timeoutMs)
  const reader = createReader(socket, proxy.host)
  try {
    await greet(socket, reader, proxy)
    socket.write(Buffer.concat([Buffer.from([version, command.connect, 0]), addressOf(target.host), portOf(target.port)]))
    const [, reply = 0, , form] = await reader.take(4)
    if (reply !== 0) throw new Error(`the proxy ${proxy.host} refuses to connect to ${target.host}:${target.port} (${reply})`)
    // The address from which the proxy connects, which is not needed.
    const length = form === kind.ipv4 ? 4 : form === kind.ipv6 ? 16 : ((await reader.take(1))[0] ?? 0)
    await reader.take(length + 2)
    reader.end()
    return socket
  } catch (thrown) {
    socket.destroy()
    throw thrown
  } finally {
    clearTimeout(deadline)
  }
}

async function greet(socket: Socket, reader: Reader, { host, username, password }: SocksProxy): Promise<void> {
  const methods = username === '' ? [method.none] : [method.none, method.password]
  socket.write(Buffer.from([version, methods.length, ...methods]))
  const [spoken, chosen] = await reader.take(2)
  if (spoken !== version) throw new Error(`the proxy ${host} does not speak SOCKS5`)
  if (chosen === method.none) return
  if (chosen !== method.password || username === '') throw new Error(`the proxy ${host} wants another kind of login`)
  const [user, secret] = [Buffer.from(username), Buffer.from(password)]
  if (user.length > longest || secret.length > longest)
    throw new Error(`SOCKS5 has no room for a user or password of more than ${longest} bytes, as the one for the proxy ${host}`)
  socket.write(Buffer.concat([Buffer.from([1, user.length]), user, Buffer.from([secret.length]), secret]))
  const [, status] = await reader.take(2)
  if (status !== 0) throw new Error(`the proxy ${host} refuses the user or the password`)
}

function addressOf(host: string): Buffer {
  if (isIPv4(host)) return Buffer.from([kind.ipv4, ...host.split('.').map(Number)])
  if (isIPv6(host)) return Buffer.concat([Buffer.from([kind.ipv6]), ipv6Bytes(host)])
  const name = Buffer.from(host)
  if (name.length > longest) throw new Error(`SOCKS5 has no room for a server's name of more than ${longest} bytes: ${host}`)
  return Buffer.concat([Buffer.from([kind.name, name.length]), name])
}

/** The URL class writes an address out in groups of hexadecimal digits, with one gap at most. */
function ipv6Bytes(address: string): Buffer {
  const [before = '', after] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined) => (text ?? '').split(':').filter((group) => group !== '')
  const [head, tail] = [groups(before), groups(after)]
  const all = [...head, ...Array.from({ length: 8 - head.length - tail.length }, () => '0'), ...tail]
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

function portOf(port: number): Buffer {
  return Buffer.from([port >> 8, port & 0xff])
}

interface Reader {
  /** The next bytes. Throws when the connection ends before. */
  take(count: number): Promise<Buffer>
  /** Bytes beyond the reply go back into the socket. */
  end(): void
}

function createReader(socket: Socket, host: string): Reader {
  let held = Buffer.alloc(0)
  let waiting: { readonly count: number; readonly done: PromiseWithResolvers<Buffer> } | undefined
  let ended: Error | undefined
  const serve = () => {
    if (waiting === undefined) return
    const { count, done } = waiting
    if (held.length >= count) {
      waiting = undefined
      done.resolve(held.subarray(0, count))
      held = held.subarray(count)
    } else if (ended !== undefined) {
      waiting = undefined
      done.reject(ended)
    }
  }
  const onData = (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    serve()
  }
  const onEnd = (error?: Error) => {
    ended ??= error ?? new Error(`the proxy ${host} closed the connection`)
    serve()
  }
  const onClose = () => onEnd()
  socket.on('data', onData).on('error', onEnd).on('close', onClose)
  return {
    take(count) {
      const done = Promise.withResolvers<Buffer>()
      waiting = { count, done }
      serve()
      return done.promise
    },
    end() {
      socket.off('data', onData).off('error', onEnd).off('close', onClose)
      socket.pause()
      if (held.length > 0) socket.unshift(held)
    },
  }
}
