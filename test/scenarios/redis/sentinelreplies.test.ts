/** A Sentinel may answer anything, and lead anywhere: the connection fails in bounded time, and asks few others. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { close, connect, open } from '../../../redis/connect/connection.ts'
import type { RedisAddress } from '../../../redis/connect/references.ts'

const bulk = (text: string) => `$${Buffer.byteLength(text)}\r\n${text}\r\n`
const list = (items: readonly string[]) => `*${items.length}\r\n${items.join('')}`

async function listening(t: TestContext, server: Server, sockets: Set<Socket>): Promise<number> {
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A server that answers nothing; `addresses` has those of its own that were connected to. */
async function startSilence(t: TestContext) {
  const sockets = new Set<Socket>()
  const addresses = new Set<string>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined).resume())
    addresses.add(socket.localAddress ?? '')
  })
  return { port: await listening(t, server, sockets), addresses }
}

/** Answers each subcommand of SENTINEL with these bytes, and anything else with OK. */
async function startSentinel(t: TestContext, answers: Readonly<Record<string, string>>): Promise<RedisAddress> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => undefined))
    let kept = ''
    socket.on('data', (piece) => {
      kept += piece
      for (;;) {
        const [whole = '', count] = /^\*(\d+)\r\n(?:\$\d+\r\n[^\r]*\r\n)*/.exec(kept) ?? []
        const words = [...whole.matchAll(/\$\d+\r\n([^\r]*)\r\n/g)].map(([, word = '']) => word.toLowerCase())
        if (words.length === 0 || words.length < Number(count)) return
        kept = kept.slice(whole.length)
        socket.write(answers[words[1] ?? ''] ?? '+OK\r\n')
      }
    })
  })
  const port = await listening(t, server, sockets)
  return { kind: 'Sentinel', master: 'm', nodes: [{ host: '127.0.0.1', port }], database: 0, label: 'm' }
}

async function opened(t: TestContext, address: RedisAddress): Promise<{ message: string; tookMs: number }> {
  const connection = connect(address, 'Observer')
  t.after(() => close(connection))
  const begunMs = performance.now()
  const message = await open(connection).then(
    () => 'open',
    (thrown: Error) => thrown.message,
  )
  return { message, tookMs: performance.now() - begunMs }
}

const none = '*-1\r\n'

test('a Sentinel that names thousands of others is refused', async (t) => {
  const { port, addresses } = await startSilence(t)
  const one = (n: number) => list(['name', `s${n}`, 'ip', `127.0.${2 + (n >> 8)}.${n & 255}`, 'port', String(port)].map(bulk))
  const many = list(Array.from({ length: 3_000 }, (_, n) => one(n)))
  const address = await startSentinel(t, { sentinels: many, 'get-master-addr-by-name': none })
  const { message, tookMs } = await opened(t, address)
  assert.match(message, /the reply to SENTINEL SENTINELS is no list of at most 64 Sentinels/)
  assert.ok(tookMs < 8_000)
  assert.equal(addresses.size, 0)
})

test('Sentinels that answer nothing end the search after eight seconds, however many they are', async (t) => {
  const { port, addresses } = await startSilence(t)
  const nodes = Array.from({ length: 40 }, (_, n) => ({ host: `127.0.9.${n + 1}`, port }))
  const { message, tookMs } = await opened(t, { kind: 'Sentinel', master: 'm', nodes, database: 0, label: 'm' })
  assert.match(message, /its Sentinels led to no server within 8 s/)
  assert.ok(tookMs >= 7_900 && tookMs < 14_000, `${tookMs} ms`)
  assert.ok(addresses.size <= 10)
})

test('an address of the master that is none, and others without a form, are refused by name', async (t) => {
  const master = [
    '*2\r\n:5\r\n:6\r\n',
    '*2\r\n*1\r\n:1\r\n*0\r\n',
    list([bulk('h'), bulk('99999')]),
    list([bulk('h'), bulk('abc')]),
    list([bulk(''), bulk('6379')]),
    list([bulk('h'.repeat(300)), bulk('6379')]),
    list([bulk('h')]),
    bulk('h:6379'),
  ]
  for (const reply of master) {
    const { message } = await opened(t, await startSentinel(t, { sentinels: '*0\r\n', 'get-master-addr-by-name': reply }))
    assert.match(message, /the Sentinel names an invalid address of the master/, reply)
  }
  for (const reply of [
    '*1\r\n:5\r\n',
    '*1\r\n$-1\r\n',
    list([list([bulk('flags'), ':1\r\n'])]),
    list([list([bulk('ip')])]),
    '$-1\r\n',
  ]) {
    const { message } = await opened(t, await startSentinel(t, { sentinels: reply, 'get-master-addr-by-name': none }))
    assert.match(message, /the reply to SENTINEL SENTINELS is no list/, reply)
  }
})
