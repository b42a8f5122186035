import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addEntries, pipelineFile } from '../../local/quickstart.ts'
import { startCli } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const stream = 'ndvi:jobs'
const wait = 'bull:ndvi:wait'

/** A command line starts, and consumers under it. */
const patience = { timeoutMs: 60_000 }

test('what is added just before the end is counted', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  const up = await startCli(t, ['up', '-f', await pipelineFile(t, server.url), '-o', 'json'])
  await up.output(/serves its metrics/, patience)
  await addEntries(client, stream, 1)
  await eventually(async () => (await client.llen(wait)) === 1, patience)
  await addEntries(client, stream, 10)
  await client.xadd(stream, '*', 'job_id', 'again')
  await client.xadd(stream, '*', 'job_id', 'again')
  await client.xadd(stream, '*', 'nothing', 'of use')
  const { code } = await up.stop('SIGINT', 60_000)
  assert.equal(code, 0, up.stderr())
  const { entries, forwarded, duplicates, deadLetters, left, ...rest } = JSON.parse(up.stdout())
  assert.equal(entries, 14)
  assert.equal(forwarded, await client.llen(wait))
  assert.equal(deadLetters, await client.xlen('{ndvi:jobs}:dead'))
  assert.equal(forwarded + duplicates + deadLetters + left, 14)
  assert.deepEqual(rest, { maxReplicas: 1 })
})

test('a Redis that comes back empty is reported as that, with what waited in it, and no number is negative', async (t) => {
  const server = await startRedis(t)
  const file = await pipelineFile(t, server.url, { sink: { maxWaiting: 5 } })
  const up = await startCli(t, ['up', '-f', file, '-o', 'json'])
  const client = server.client({ maxRetriesPerRequest: null })
  await up.output(/serves its metrics/, patience)
  // No worker takes them: the queue fills, and the others wait in the stream.
  await addEntries(client, stream, 400)
  await up.output(/forwarded [1-9]/, patience)
  await eventually(async () => (await client.llen(wait)) > 5, patience)
  await server.restart('SIGKILL')
  await eventually(async () => (await client.exists('sp:{ndvi:jobs}:none')) === 0, patience)
  await addEntries(client, stream, 3)
  await up.output(/Redis had lost its data: the stream and the ledger are gone/, patience)
  await eventually(async () => (await client.llen(wait)) === 3, patience)
  const { code } = await up.stop('SIGINT', 60_000)
  assert.equal(code, 0, up.stderr())
  const account = JSON.parse(up.stdout())
  for (const [name, value] of Object.entries(account)) if (typeof value === 'number') assert.ok(value >= 0, name)
  assert.equal(account.interruptions.length, 1, up.stdout())
  const [{ how, left, at }] = account.interruptions
  assert.equal(how, 'Emptied')
  assert.ok(Date.parse(at) > Date.now() - 120_000)
  // All that was added before, unless it came after the last look.
  assert.ok(account.entries === 403 || account.entries < 403, up.stdout())
  assert.equal(account.entries, account.forwarded + left, up.stdout())
  assert.equal(account.left, 0)
})

test('history is announced before an entry is forwarded; --from says where a new group begins, and comes too late for an old one', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  await addEntries(client, stream, 200)
  const file = await pipelineFile(t, server.url)
  const start = async (...args: string[]) => await startCli(t, ['up', '-f', file, '-o', 'json', ...args])

  const later = await start('--from', 'now')
  await later.output(
    /stream ndvi:jobs holds 200 entries already, and group ndvi is new: they are skipped; --from beginning/,
    patience,
  )
  await later.output(/serves its metrics/, patience)
  await addEntries(client, stream, 3)
  await eventually(async () => (await client.llen(wait)) === 3, patience)
  assert.equal((await later.stop('SIGINT', 60_000)).code, 0, later.stderr())
  assert.deepEqual(JSON.parse(later.stdout()), {
    ...{ entries: 3, forwarded: 3, duplicates: 0, deadLetters: 0, left: 0, maxReplicas: 1 },
  })

  const late = await start('--from', 'beginning')
  assert.equal((await late.exit).code, 64)
  assert.match(
    late.stderr(),
    /--from: .* has never read; group ndvi of stream ndvi:jobs goes on after entry \d+-\d+: omit --from/,
  )
  assert.equal(await client.llen(wait), 3)
  // Gone, but known: it is made where it was.
  await client.xgroup('DESTROY', stream, 'ndvi')
  const still = await start('--from', 'now')
  assert.equal((await still.exit).code, 64)
  assert.match(still.stderr(), /existed before/)

  await client.flushall()
  await addEntries(client, stream, 200)
  const plain = await start()
  await plain.output(
    /holds 200 entries already, and group ndvi is new: all will be forwarded, the oldest \S+ old; --from now/,
    patience,
  )
  const [beforeHistory = ''] = plain.stderr().split('holds 200 entries')
  assert.doesNotMatch(beforeHistory, /started \(pid/)
  await eventually(async () => (await client.llen(wait)) === 200, patience)
  assert.equal((await plain.stop('SIGINT', 60_000)).code, 0, plain.stderr())
  const account = JSON.parse(plain.stdout())
  assert.deepEqual([account.history, account.entries, account.forwarded, account.left], [200, 0, 200, 0])

  await addEntries(client, stream, 7)
  const again = await start()
  await again.output(/group ndvi goes on after \d+-\d+: 7 entries of stream ndvi:jobs will be forwarded, the oldest/, patience)
  await eventually(async () => (await client.llen(wait)) === 207, patience)
  assert.equal((await again.stop('SIGINT', 60_000)).code, 0, again.stderr())
})

test('dead letters of any size and number are counted, from before the run and of it', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  const dead = '{ndvi:jobs}:dead'
  await client.xadd(dead, '*', 'payload', 'x'.repeat(3 * 2 ** 20))
  const up = await startCli(t, ['up', '-f', await pipelineFile(t, server.url), '--demo', '-o', 'json'])
  await up.output(/forwarded [1-9]/, patience)
  for (let i = 0; i < 600; i++) void client.xadd(dead, '*', 'payload', 'x'.repeat(6_000))
  await client.ping()
  const { code } = await up.stop('SIGINT', 120_000)
  assert.equal(code, 0, up.stderr())
  const account = JSON.parse(up.stdout())
  assert.ok(account.deadLetters >= 600, up.stdout())
  assert.deepEqual([account.lost, account.duplicateJobs], [0, 0])
})
