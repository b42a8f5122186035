/** `streampipeline dead` as a person on call uses it, on records of a real Redis. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { stringify } from 'yaml'
import { compilePipeline } from '../../../api/compile.ts'
import { exitCodes } from '../../../api/exitcodes.ts'
import { parsePipeline } from '../../../api/validate.ts'
import { createRecords } from '../../../redis/deadletters/records.ts'
import { streamPlace } from '../../../redis/placement.ts'
import { settleEntries } from '../../../redis/stream/settlement.ts'
import { resourceWith, type SpecChanges } from '../../redis/resource.ts'
import { runHere } from '../../support/commandline.ts'
import { freePort } from '../../support/port.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

/** A Redis with dead letters, and `dead …` on it. */
async function setUp(t: TestContext, reasons: readonly string[], changes: SpecChanges = {}) {
  const server = await startRedis(t)
  const redis = server.client() as Redis
  const resource = resourceWith({ url: `redis://127.0.0.1:${server.port}`, ...changes })
  const place = streamPlace(compilePipeline(parsePipeline(resource)))
  await redis.xgroup('CREATE', place.stream, place.group, '0', 'MKSTREAM')
  for (const reason of reasons) {
    const id = String(await redis.xadd(place.stream, '*', 'n', reason))
    await redis.xreadgroup('GROUP', place.group, 'c', 'STREAMS', place.stream, '>')
    await settleEntries(
      redis,
      place,
      [],
      [{ id, reason: reason as 'JobFailed', error: 'boom\n\u001b[2Jbang', hash: '', redrives: 0 }],
    )
  }
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-dead-'))
  t.after(async () => await rm(folder, { recursive: true }))
  const file = join(folder, 'pipeline.yaml')
  await writeFile(file, stringify(resource))
  const dead = async (command: string, ...args: string[]) => await runHere(['dead', command, '-f', file, ...args])
  return { redis, place, dead, file, port: server.port, kept: async () => await redis.xlen(place.deadLetters) }
}

test('records are listed, shown, replayed and purged, and nothing is done by a dry run', async (t) => {
  const { redis, place, dead, kept } = await setUp(t, ['SchemaViolation', 'JobFailed', 'JobFailed'])
  const listed = JSON.parse((await dead('list', '-o', 'json')).stdout) as { id: string; reason: string }[]
  assert.deepEqual(
    listed.map(({ reason }) => reason),
    ['SchemaViolation', 'JobFailed', 'JobFailed'],
  )
  const [first = { id: '' }] = listed
  const shown = JSON.parse((await dead('show', first.id)).stdout) as { payload: unknown }
  assert.deepEqual(shown.payload, [{ name: 'n', value: 'SchemaViolation' }])

  assert.match((await dead('replay', '--all', '--dry-run')).stdout, /^(\S+ {2}would be replayed\n){3}$/)
  assert.equal((await dead('purge', '--all', '--dry-run')).stdout, '3 would be purged\n')
  assert.equal(await kept(), 3)

  const added = await redis.xlen(place.stream)
  assert.match((await dead('replay', first.id)).stdout, /replayed as \d+-\d+\n$/)
  assert.equal(await redis.xlen(place.stream), added + 1)
  assert.equal((await dead('purge', '--reason', 'JobFailed')).stdout, '2 purged\n')
  assert.equal((await dead('list')).stdout, 'no dead letters\n')
})

test('a list that leaves records out says so', async (t) => {
  const { dead } = await setUp(t, ['JobFailed', 'JobFailed'])
  const short = await dead('list', '--limit', '1')
  assert.equal(short.stdout.trim().split('\n').length, 2)
  assert.match(short.stdout, /boom \[2Jbang\n$/, "a worker's words stay on their line and reach no terminal as commands")
  assert.match(short.stderr, /these are the oldest 1; --limit COUNT shows more/)
  assert.equal((await dead('list', '--limit', '2')).stderr, '')
})

test('any number of records is purged', async (t) => {
  const { redis, place, dead, kept } = await setUp(t, ['JobFailed'])
  const copy = `local record = redis.call('XRANGE', KEYS[1], '-', '+')[1][2]
for i = 2, ARGV[1] do redis.call('XADD', KEYS[1], '*', unpack(record)) end`
  await redis.eval(copy, 1, place.deadLetters, 150_000)
  assert.equal(await kept(), 150_000)
  const { code, stdout, stderr } = await dead('purge', '--all')
  assert.deepEqual([code, stdout, stderr], [0, '150000 purged\n', ''])
  assert.equal(await kept(), 0)
})

test('what cannot be done is named with what to write, and ends with 64', async (t) => {
  const { dead, kept } = await setUp(t, ['JobFailed'])
  const wrong: readonly (readonly [args: readonly [string, ...string[]], message: RegExp])[] = [
    [['list', '--limit', 'many'], /--limit.*write a whole number, 1 or more/],
    [['list', '--limit', '0'], /--limit.*write a whole number, 1 or more/],
    [['list', '--reason', 'Bad'], /--reason.*Allowed choices are InvalidPayload/],
    [['list', '--name', 'other'], /--name: .* holds ndvi, not other/],
    [['show', 'x'], /x is not a record's id, such as/],
    [['purge'], /name the ids of dead letters, or select them by --reason or --all/],
    [['purge', '5-5', '--all'], /name ids, or select by --reason or --all, not both/],
    [['replay', '5-5', '--reason', 'JobFailed'], /name ids, or select by --reason or --all, not both/],
    [['replay', '5-5'], /there is no dead letter 5-5/],
  ]
  for (const [args, message] of wrong) {
    const { code, stderr } = await dead(...args)
    assert.match(stderr, message)
    assert.equal(code, 64, args.join(' '))
  }
  assert.equal(await kept(), 1)
})

test('a key that holds something else is named, with what it should be', async (t) => {
  const { redis, place, dead } = await setUp(t, [])
  await redis.set(place.deadLetters, 'of somebody else')
  const commands: readonly (readonly [string, ...string[]])[] = [['list'], ['purge', '--all'], ['show', '1-1']]
  for (const args of commands) {
    const { code, stderr } = await dead(...args)
    assert.ok(stderr.includes(`${place.deadLetters} holds a string, not a stream`), stderr)
    assert.equal(code, exitCodes.badUsage, args.join(' '))
  }
})

/** Settings that make Redis refuse writes. */
const badDays: [what: string, spoil: (redis: Redis) => Promise<unknown>][] = [
  ['out of memory', (redis) => redis.config('SET', 'maxmemory', '1')],
  ['without enough replicas', (redis) => redis.config('SET', 'min-replicas-to-write', '1')],
  ['a replica, cut off from its master', (redis) => redis.replicaof('127.0.0.1', '1')],
]
for (const [what, spoil] of badDays) {
  test(`records are listed and shown while Redis takes no writes: ${what}`, async (t) => {
    const { redis, place, dead } = await setUp(t, ['JobFailed'])
    await spoil(redis)
    const [entry] = await redis.xrange(place.deadLetters, '-', '+')
    const id = entry?.[0] ?? ''
    const listed = await dead('list')
    assert.deepEqual([listed.code, listed.stderr], [0, ''])
    assert.ok(listed.stdout.includes(id), listed.stdout)
    assert.equal((await dead('show', id)).code, 0)
    const replayed = await dead('replay', id)
    assert.notEqual(replayed.code, 0)
    assert.match(replayed.stderr, /OOM|NOREPLICAS|READONLY/)
    assert.equal(await redis.xlen(place.deadLetters), 1)
  })
}

test('records are listed while Redis cannot save what is written', async (t) => {
  const { redis, dead } = await setUp(t, ['JobFailed'])
  // A folder is in the way of the file.
  const [, folder = ''] = (await redis.config('GET', 'dir')) as string[]
  await mkdir(join(folder, 'dump.rdb'), { recursive: true })
  await redis.config('SET', 'save', '3600 1')
  await redis.bgsave()
  await eventually(async () => (await redis.info('persistence')).includes('rdb_last_bgsave_status:err'))
  await assert.rejects(redis.set('k', 'v'), /MISCONF/)
  const { code, stdout, stderr } = await dead('list')
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /JobFailed/)
})

test('the queue’s Redis is away: records are listed and purged', async (t) => {
  const elsewhere = `redis://127.0.0.1:${await freePort()}`
  const { dead } = await setUp(t, ['JobFailed'], { sink: { redis: { url: elsewhere } } })
  assert.match((await dead('list')).stdout, /JobFailed/)
  assert.equal((await dead('purge', '--all')).stdout, '1 purged\n')
})

test('records are purged while Redis is out of memory: that frees some', async (t) => {
  const { redis, dead, kept } = await setUp(t, ['JobFailed', 'JobFailed'])
  await redis.config('SET', 'maxmemory', '1')
  const { code, stdout, stderr } = await dead('purge', '--all')
  assert.deepEqual([code, stdout, stderr], [0, '2 purged\n', ''])
  assert.equal(await kept(), 0)
})

describe('a record that another program spoilt stops no command from working on the other records', () => {
  const payloads: [what: string, payload: Buffer][] = [
    ['no MessagePack', Buffer.from('not msgpack')],
    ['cut off', Buffer.from([0x94, 0xa1, 0x6e])],
    ['another kind of value', Buffer.from([0x81, 0xa1, 0x6e, 0x01])],
  ]
  for (const [what, payload] of payloads) {
    test(`a payload that is ${what}`, async (t) => {
      const { redis, place, dead, kept } = await setUp(t, ['JobFailed'])
      const bad = String(await redis.xadd(place.deadLetters, '*', 'reason', 'InvalidPayload', 'payload', payload))
      const listed = await dead('list')
      assert.deepEqual([listed.code, listed.stderr], [0, ''])
      assert.ok(listed.stdout.includes('JobFailed') && listed.stdout.includes(bad), listed.stdout)
      assert.match(listed.stdout, new RegExp(`${bad} +Damaged .*its payload is no list of fields and values`))
      const shown = JSON.parse((await dead('show', bad)).stdout) as { damage: string; raw: { name: string }[] }
      assert.match(shown.damage, /its payload is no list/)
      assert.deepEqual(
        shown.raw.map(({ name }) => name),
        ['reason', 'payload'],
      )
      assert.match((await dead('replay', bad)).stdout, /damaged: .*it cannot be replayed, only purged/)
      const planned = (await dead('replay', '--all', '--dry-run')).stdout
      assert.match(planned, new RegExp(`${bad}  damaged: .*only purged`))
      assert.match(planned, /would be replayed/)
      const { code, stdout, stderr } = await dead('purge', '--all')
      assert.deepEqual([code, stdout, stderr], [0, '2 purged\n', ''])
      assert.equal(await kept(), 0)
    })
  }
})

test('a record that was made from changed data says so, and is replayed only with --altered', async (t) => {
  const { redis, place, dead, kept } = await setUp(t, ['JobFailed'])
  const [entry] = await redis.xrangeBuffer(place.deadLetters, '-', '+')
  const added = ['altered', '1', 'stacktrace', 'Error: boom\n    at work']
  const id = String(await redis.xadd(place.deadLetters, '*', ...((entry?.[1] ?? []) as unknown as string[]), ...added))
  assert.match((await dead('list')).stdout, new RegExp(`${id} .*\\(altered by its worker\\)`))
  const shown = JSON.parse((await dead('show', id)).stdout) as { altered: boolean; stacktrace: string }
  assert.deepEqual([shown.altered, shown.stacktrace], [true, 'Error: boom\n    at work'])
  assert.match((await dead('replay', id)).stdout, /altered: a worker changed.*--altered/)
  assert.equal(await kept(), 2)
  assert.match((await dead('replay', id, '--altered')).stdout, /replayed as/)
  assert.equal(await kept(), 1)
})

test('a page of records is bounded by bytes as well as by number, in whatever order small and large records come', async (t) => {
  const { redis, place } = await setUp(t, [])
  const sizes = [...Array.from({ length: 900 }, () => 10), ...Array.from({ length: 30 }, () => 2 ** 20), 5, 5, 5]
  const batch = redis.pipeline()
  for (const size of sizes) batch.xadd(place.deadLetters, '*', 'reason', 'JobFailed', 'payload', Buffer.alloc(size))
  await batch.exec()
  const pages: { count: number; bytes: number }[] = []
  const { xrangeBuffer } = redis
  const spied = async (...args: Parameters<typeof xrangeBuffer>) => {
    const entries = await xrangeBuffer.apply(redis, args)
    const bytes = entries.flatMap(([, fields]) => fields).reduce((sum, { length }) => sum + length, 0)
    pages.push({ count: entries.length, bytes })
    return entries
  }
  redis.xrangeBuffer = spied as typeof xrangeBuffer
  const found = await Array.fromAsync(createRecords(redis, place).list({}))
  assert.equal(found.length, sizes.length)
  assert.ok(pages.length < 40, `${pages.length} pages`)
  const late = pages.filter(({ bytes }) => bytes > 16 * 2 ** 20)
  assert.ok(late.length <= 1, 'only the page at which small ones become large may be more')
})

/** A way to Redis on which replies take their time, as over a port that kubectl forwards. */
async function slowWay(t: TestContext, port: number, bytesPerSecond: number): Promise<number> {
  const sockets = new Set<Socket>()
  const listener = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => socket.destroy())
    }
    near.pipe(far)
    near.on('close', () => far.destroy())
    const slowed = async function* () {
      for await (const chunk of far) {
        for (let at = 0; at < chunk.length; at += bytesPerSecond / 10) {
          yield chunk.subarray(at, at + bytesPerSecond / 10)
          await setTimeout(100)
        }
      }
    }
    pipeline(slowed, near).catch(() => near.destroy())
  })
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  return (listener.address() as AddressInfo).port
}

test('records that take many seconds to arrive are listed and shown', async (t) => {
  const { redis, place, dead, file, port } = await setUp(t, ['SchemaViolation'])
  const payload = 'x'.repeat(2 ** 20)
  const id = String(await redis.xadd(place.deadLetters, '*', 'payload', payload, 'reason', 'SchemaViolation'))
  const slow = await slowWay(t, port, 200_000)
  await writeFile(file, (await readFile(file, 'utf8')).replace(`127.0.0.1:${port}`, `127.0.0.1:${slow}`))
  const listed = await dead('list', '-o', 'json')
  assert.equal(listed.code, 0, listed.stderr)
  assert.equal(JSON.parse(listed.stdout).length, 2)
  const shown = await dead('show', id, '-o', 'json')
  assert.equal(shown.code, 0, shown.stderr)
})
