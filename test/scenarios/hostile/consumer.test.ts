/**
 * A consumer process against hostile entries: whatever is in the stream is forwarded or dead-lettered, the queue's own keys keep
 * their names and types, and the process keeps its size.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { before, test } from 'node:test'
import { openPipeline } from '../../consumer/fixture.ts'
import { fileScope } from '../../redis/scope.ts'
import { type RedisServer, startRedis } from '../../support/redis.ts'
import { seed } from '../../support/seed.ts'
import { eventually } from '../../support/wait.ts'
import { createRandom, hostileFields, names } from './payloads.ts'

/** STREAMPIPELINE_CASES=1000000 for a trial. */
const cases = Number(process.env['STREAMPIPELINE_CASES'] ?? 3_000)

/**
 * The most memory that the process may ever have held. It is 128 MiB of its own, and the bytes of the 3 batches in flight: as they
 * are read, as they are decoded, and as they go out again. A batch is near `batchBytes` (here 1 MiB), but the first batches may
 * have sixteen large entries.
 */
const maxResidentMiB = 320

let server: RedisServer
const scope = fileScope()
before(async () => {
  server = await startRedis(scope)
})

/** Parts of a queue that BullMQ makes when plain jobs are added. */
const internals: Record<string, string> = { wait: 'list', meta: 'hash', id: 'string', events: 'stream', marker: 'zset' }

const residentMiB = async (pid: number, field: 'VmHWM' | 'VmRSS') =>
  Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1_024

test(`${cases} hostile entries: each forwarded or dead-lettered, queue internals untouched, memory bounded`, async (t) => {
  const { redis, start, place, pending, dead, queueKey, waiting } = openPipeline(t, server, {
    source: { stream: '{hostile}:jobs', batchBytes: '1Mi' },
    sink: { queue: 'hostile', maxWaiting: 10_000_000 },
    payload: { maxBytes: '64Ki', maxFields: 64 },
    deadLetter: { maxEntries: 10_000_000 },
  })
  await redis.set('sentinel', 'untouched')
  const consumer = await start('pod-0')
  const random = createRandom(seed)
  const sent = new Map<string, Buffer[]>()
  const send = async (fields: Buffer[][]) => {
    const batch = redis.pipeline()
    for (const flat of fields) batch.xadd(place.stream, '*', ...(flat as unknown as string[]))
    for (const [index, [error, id]] of ((await batch.exec()) ?? []).entries()) {
      assert.equal(error, null)
      sent.set(String(id), fields[index] ?? [])
    }
  }
  // First, whatever could be taken for a name of the queue's own, alone and as every value.
  await send(
    names.flatMap((name) =>
      [
        ['k', name],
        [name, 'x'],
        ['jobId', name],
      ].map((flat) => flat.map((part) => Buffer.from(part))),
    ),
  )
  while (sent.size < cases) await send(Array.from({ length: 100 }, () => hostileFields(random)))
  // Ids at the ends of the range come last: no entry can be added after them.
  for (const id of [
    '18446744073709551614-0',
    '18446744073709551615-18446744073709551614',
    '18446744073709551615-18446744073709551615',
  ]) {
    await redis.xadd(place.stream, id, 'k', `last ${id}`)
    sent.set(id, [Buffer.from('k'), Buffer.from(`last ${id}`)])
  }
  await eventually(async () => (await redis.hget(place.keys.stats, 'settled')) === String(sent.size), {
    timeoutMs: 60_000 + cases,
  })
  assert.deepEqual(await pending(), [])
  assert.ok(consumer.running())

  const letters = await dead()
  const jobs = await waiting()
  const duplicates = sent.size - letters.length - jobs
  // The process counts when Redis has answered.
  await eventually(async () =>
    assert.equal(await consumer.metric('stream_consumer_settled_total{outcome="duplicate"'), duplicates),
  )
  assert.ok(letters.length > cases / 20 && jobs > cases / 20, `${letters.length} dead, ${jobs} jobs`)
  for (const { originalId, payload } of letters) {
    assert.ok(Buffer.concat([...payload]).equals(Buffer.concat(sent.get(originalId) ?? [])), `${originalId} lost bytes`)
  }

  const keys = await redis.keys('*')
  const own = keys.filter((key) => key.startsWith(`${queueKey}:`)).map((key) => key.slice(queueKey.length + 1))
  const unexpected = own.filter((part) => !(part in internals) && !/^e-[\w-]{10}-[\w-]{43}$/.test(part))
  assert.deepEqual(unexpected, [], 'no key of the queue got a name from outside')
  for (const [part, type] of Object.entries(internals)) assert.equal(await redis.type(`${queueKey}:${part}`), type, part)
  const outside = keys.filter((key) => !key.startsWith(`${queueKey}:`) && !key.startsWith(place.keys.prefix))
  assert.deepEqual(outside.toSorted(), ['sentinel', place.deadLetters, place.stream].toSorted())
  assert.equal(await redis.get('sentinel'), 'untouched')
  for (const key of keys.filter((name) => name.startsWith(`${place.keys.prefix}mark:`))) {
    assert.match(key.slice(place.keys.prefix.length), /^mark:[\w-]{43}$/)
  }

  const peak = await residentMiB(consumer.pid, 'VmHWM')
  t.diagnostic(`${letters.length} dead letters, ${jobs} jobs, ${duplicates} duplicates; peak RSS ${Math.round(peak)} MiB`)
  assert.ok(peak < maxResidentMiB, `peak RSS ${Math.round(peak)} MiB`)
  assert.ok(!/polluted/.test(consumer.stdout()))
  assert.deepEqual(await consumer.stop(), { code: 0, signal: null })
})
