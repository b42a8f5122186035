/** Connections to servers that answer anything: each fails by itself, with an error of the catalogue, and the process lives on. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { before, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { StreamPipelineError } from '../../../api/errors.ts'
import { close, connect, failureOn, open } from '../../../redis/connect/connection.ts'
import type { RedisAddress } from '../../../redis/connect/references.ts'
import { readReplies } from '../../../redis/connect/replyreading.ts'
import { createReplyBudget } from '../../../redis/reply/budget.ts'
import { lookLimits } from '../../../redis/reply/limits.ts'
import { writeReply } from '../../scenarios/hostile/kinds/replies.ts'
import { createRandom } from '../../scenarios/hostile/payloads.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import type { Scope } from '../../support/scope.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'
import { address } from '../resource.ts'
import { fileScope } from '../scope.ts'

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

type Answer = (socket: Socket, asked: Buffer) => unknown

async function enemy(within: Scope, answer: Answer): Promise<number> {
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (asked: Buffer) => answer(socket, asked))
  }).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  within.after(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return (listener.address() as AddressInfo).port
}

async function codeAt(where: RedisAddress): Promise<string> {
  const connection = connect(where, 'Observer')
  try {
    await open(connection)
    await connection.call('GET', 'x')
    return 'no failure'
  } catch (thrown) {
    const error = failureOn(connection, thrown)
    assert.ok(error instanceof StreamPipelineError)
    return error.code
  } finally {
    await close(connection)
  }
}

const refusals: readonly (readonly [name: string, bytes: string])[] = [
  ['a push with a null in it', '>1\r\n_\r\n'],
  ['a null nobody asked for', '$-1\r\n'.repeat(60)],
  ['lists within lists', '*33554431\r\n'.repeat(12)],
  ['a text of half a gigabyte', `$536870000\r\n${'x'.repeat(60_000)}`],
  ['a line without end', `+${'x'.repeat(200_000)}`],
  ['an error of megabytes', `-ERR ${'x'.repeat(3_000_000)}\r\n`],
  ['another protocol', 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'],
  ['negative lengths', '*-7\r\n$-9\r\n'],
]
for (const [name, bytes] of refusals) {
  test(`${name} fails the connection alone`, async (t) => {
    const port = await enemy(t, (socket) => socket.write(bytes))
    const [refused, fine] = await Promise.all([codeAt(address(port)), codeAt(address(server.port))])
    assert.deepEqual([refused, fine], ['RedisReplyRefused', 'no failure'])
  })
}

test('the time limit is of one reply: a busy connection whose pieces end within a reply is kept', async (t) => {
  const reply = '$3\r\nabc\r\n'
  const [head, tail] = [reply.slice(0, 4), reply.slice(4)]
  const pieces = [head, ...Array.from({ length: 19 }, () => tail + head), tail]
  const port = await enemy(t, dripping(pieces))
  const connection = limited(port, 100)
  t.after(() => connection.disconnect())
  await connection.connect()
  const values = await Promise.all(Array.from({ length: 20 }, () => connection.get('x')))
  assert.deepEqual(new Set(values), new Set(['abc']))
})

test('a reply that goes on and on is refused after the time limit', async (t) => {
  const port = await enemy(t, dripping(['$1000\r\n', ...'x'.repeat(1_000)]))
  const connection = limited(port, 100)
  t.after(() => connection.disconnect())
  await connection.connect()
  await assert.rejects(connection.get('x'), { code: 'RedisReplyRefused' })
})

/** Answers the first request with pieces, 10 ms apart. */
function dripping(pieces: readonly string[]): Answer {
  let begun = false
  return async (socket) => {
    if (begun) return
    begun = true
    socket.setNoDelay(true)
    for (const piece of pieces) {
      if (socket.destroyed) return
      socket.write(piece)
      await setTimeout(10)
    }
  }
}

function limited(port: number, ms: number): Redis {
  const connection = new Redis({
    port,
    lazyConnect: true,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
    retryStrategy: null,
  })
  connection.on('error', () => undefined)
  readReplies(connection, { limits: { ...lookLimits, ms }, label: `127.0.0.1:${port}` })
  return connection
}

test('a server that turns hostile fails the command under way, and the connection recovers once the server is sound', async (t) => {
  let hostile = true
  const port = await enemy(t, (socket, asked) => {
    const commands = asked.toString().match(/\*\d+\r\n/g) ?? []
    socket.write(hostile ? '>2\r\n+x\r\n+y\r\n' : '+OK\r\n'.repeat(commands.length))
  })
  const connection = connect(address(port), 'Writer') as Redis
  t.after(() => close(connection))
  await assert.rejects(open(connection), { code: 'RedisReplyRefused' })
  hostile = false
  assert.equal(await eventually(() => connection.get('x')), 'OK')
})

test('any sound reply to any command, and any unsound one, is outlived: server, sentinel, cluster', async (t) => {
  const uncaught: unknown[] = []
  const note = (thrown: unknown) => void uncaught.push(thrown)
  process.on('uncaughtException', note)
  t.after(() => void process.off('uncaughtException', note))
  const random = createRandom(seed)
  const port = await enemy(t, (socket) => {
    const one = () => writeReply(random, 4, random.below(6) === 0)
    const many = Array.from({ length: 1 + random.below(6) }, one)
    socket.write(Buffer.from(many.join(''), 'latin1'))
  })
  const nodes = [{ host: '127.0.0.1', port }]
  const label = `127.0.0.1:${port}`
  const places: RedisAddress[] = [
    address(port),
    { kind: 'Cluster', nodes, label },
    { kind: 'Sentinel', master: 'm', nodes, database: 0, label },
  ]
  const codes = new Map<string, number>()
  await Promise.all(
    places.map(async (place) => {
      const found = await Promise.all(Array.from({ length: 40 }, () => codeAt(place)))
      for (const code of found) codes.set(code, (codes.get(code) ?? 0) + 1)
    }),
  )
  assert.deepEqual(uncaught, [])
  assert.equal(codes.get('Internal'), undefined, JSON.stringify([...codes]))
})

test('a cluster that names slots and nodes which cannot be is refused', async (t) => {
  const answers = [
    ':5\r\n',
    '*1\r\n_\r\n',
    '*1\r\n*3\r\n:-900000000\r\n:900000000\r\n*2\r\n$1\r\na\r\n:1\r\n',
    '*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n',
    '*1\r\n*3\r\n:0\r\n:1\r\n_\r\n',
    '*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:99999\r\n',
    '-MOVED\r\n',
    '-MOVED 1 \r\n',
    '-MOVED __proto__ 127.0.0.1:1\r\n',
    '-ASK 1 127.0.0.1\r\n',
  ]
  for (const answer of answers) {
    const port = await enemy(t, (socket) => socket.write(`+OK\r\n+OK\r\n+OK\r\n${answer}`))
    const code = await codeAt({ kind: 'Cluster', nodes: [{ host: '127.0.0.1', port }], label: 'cluster' })
    assert.ok(['RedisReplyRefused', 'RedisUnreachable', 'RedisNotReady'].includes(code), `${answer}: ${code}`)
  }
})

test('the operator takes no more than a look needs; a consumer takes what Redis holds', async (t) => {
  await server.client().set('large', 'x'.repeat(3_000_000))
  const [looking, working] = [
    connect(address(server.port), 'Observer') as Redis,
    connect(address(server.port), 'Writer') as Redis,
  ]
  t.after(async () => {
    await close(looking)
    await close(working)
  })
  assert.equal((await working.get('large'))?.length, 3_000_000)
  await assert.rejects(looking.get('large'), { code: 'RedisReplyRefused' })
  await eventually(async () => assert.equal(await looking.get('small'), null))
})

test('of replies that are too large together the largest is given up', () => {
  const budget = createReplyBudget(100)
  const gone: string[] = []
  const [a, b, c] = ['a', 'b', 'c'].map((name) => budget.join(() => void gone.push(name)))
  a?.set(60)
  b?.set(40)
  assert.deepEqual(gone, [])
  c?.set(5)
  assert.deepEqual(gone, ['a'])
  b?.leave()
  c?.set(100)
  assert.deepEqual(gone, ['a'])
  c?.set(101)
  assert.deepEqual(gone, ['a', 'c'])
})
