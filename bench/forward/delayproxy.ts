/**
 * A TCP proxy that delivers every chunk after a fixed time, in both directions: a round trip over a distance. It keeps order. It
 * does not limit bandwidth, since any number of chunks may be under way. It is a process of its own, so that its work does not
 * count as that of a measured process: `node delayproxy.ts TARGET_PORT ONE_WAY_MS` prints the port it listens on.
 *
 * Timers are exact to a millisecond only. The last part of a wait polls the clock.
 */
import { connect, createServer, type Socket } from 'node:net'

interface Travelling {
  readonly due: number
  readonly to: Socket
  /** Undefined: the end of the connection. */
  readonly chunk: Buffer | undefined
}

const [targetPort, oneWayMs] = [Number(process.argv[2]), Number(process.argv[3])]
const closeToDueMs = 0.5
/** In order of arrival, which with one delay for all is the order of being due. */
let travelling: Travelling[] = []
let armed = false

function arm(): void {
  const next = travelling[0]
  if (armed || next === undefined) return
  armed = true
  const left = next.due - performance.now()
  if (left <= closeToDueMs) setImmediate(deliver)
  else setTimeout(deliver, Math.max(1, Math.floor(left)))
}

function deliver(): void {
  armed = false
  const now = performance.now()
  let count = 0
  while ((travelling[count]?.due ?? Number.POSITIVE_INFINITY) <= now) count++
  const arrived = travelling.slice(0, count)
  travelling = travelling.slice(count)
  for (const { to, chunk } of arrived) {
    if (chunk === undefined) to.end()
    else if (to.writable) to.write(chunk)
  }
  arm()
}

function forward(from: Socket, to: Socket): void {
  const send = (chunk: Buffer | undefined) => {
    travelling.push({ due: performance.now() + oneWayMs, to, chunk })
    arm()
  }
  from.setNoDelay(true)
  from.on('data', send)
  from.on('end', () => send(undefined))
  from.on('error', () => to.destroy())
}

const server = createServer({ allowHalfOpen: true }, (client) => {
  const upstream = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true })
  forward(client, upstream)
  forward(upstream, client)
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(typeof address === 'object' && address !== null ? `listening ${address.port}` : 'no address')
})
