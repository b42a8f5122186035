import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeOthers, othersIn } from '../../local/company.ts'
import { streamPlace } from '../../redis/placement.ts'
import { claimOf } from '../../redis/stream/claim.ts'
import { emptySample } from '../../scaling/sample.ts'
import { pipelineWith } from '../redis/resource.ts'
import { markedProcesses } from '../support/descendants.ts'
import { startCli } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { eventually } from '../support/wait.ts'
import { addEntries, pipelineFile } from './quickstart.ts'

const stream = 'ndvi:jobs'
const patience = { timeoutMs: 60_000 }

test('who is another and alive', () => {
  const beat = (uid: string, at: number) => ({
    ...{
      uid,
      at,
      state: 'Running',
      inFlight: 0,
      serviceMs: 0,
      path: 'Atomic',
      forwarded: 0,
      duplicates: 0,
      dead: 0,
      reclaimed: 0,
    },
  })
  const consumer = (name: string, uid: string | undefined, more: object = {}) => ({
    ...{ name, pending: 0, idleMs: 500, ...(uid === undefined ? {} : { uid }), ...more },
  })
  const sample = {
    ...emptySample(100_000),
    consumers: [
      consumer('ours', 'local-host-1-2/x', { heartbeat: beat('local-host-1-2/x', 99_000) }),
      consumer('theirs', 'local-my-host-77-2/x', { heartbeat: beat('local-my-host-77-2/x', 98_600) }),
      consumer('pod', 'uid-1/pod', { heartbeat: beat('uid-1/pod', 99_900) }),
      consumer('dead', 'local-host-9-2/x'),
      consumer('silent', 'uid-1/q', { heartbeat: beat('uid-1/q', 10_000) }),
      consumer('stranger', undefined),
      consumer('old stranger', undefined, { idleMs: 600_000 }),
    ],
  }
  const others = othersIn(sample, (uid) => uid.startsWith('local-host-1-2/'))
  assert.deepEqual(
    others.map(({ name }) => name),
    ['theirs', 'pod', 'stranger'],
  )
  const reported = describeOthers(others)
  assert.match(reported, /theirs \(local, pid 77 on my-host; heard 1\.4s ago\)/)
  assert.match(reported, /pod \(a cluster's, of the StreamPipeline with uid uid-1; heard 0\.1s ago\)/)
  assert.match(reported, /stranger \(another program's; heard 0\.5s ago\)/)
  assert.match(describeOthers([...others, ...others]), /, and 1 more$/)
})

test('two runs on one group see each other, and no name is borne twice', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  const file = await pipelineFile(t, server.url)
  const first = await startCli(t, ['up', '-f', file, '-o', 'json'])
  await first.output(/serves its metrics/, patience)
  const second = await startCli(t, ['up', '-f', file, '-o', 'json'])
  const name =
    /1 consumer that is not of this run reads group ndvi, and each entry goes to one of them: (ndvi-1-\w+) \(local, pid (\d+) on /
  const [, theirs = '', pid = ''] = await second.output(name, patience)
  assert.equal(Number(pid), first.pid)
  const [, other = ''] = await first.output(/another consumer reads the group now: (ndvi-1-\w+) \(local, pid \d+/, patience)
  assert.notEqual(theirs, other)
  const { consumers } = streamPlace(pipelineWith({})).keys
  const names = async () => (await client.hkeys(consumers)).toSorted()
  await eventually(async () => assert.deepEqual(await names(), [theirs, other].toSorted()), patience)
  await addEntries(client, stream, 50)
  await eventually(async () => (await client.llen('bull:ndvi:wait')) === 50, patience)
  await second.stop('SIGINT', 60_000)
  await first.stop('SIGINT', 60_000)
  for (const up of [first, second]) {
    const { forwarded, otherConsumers, ...rest } = JSON.parse(up.stdout())
    assert.equal(forwarded, 50, 'of all consumers')
    assert.equal(otherConsumers.length, 1)
    assert.equal(rest.unexplained, undefined)
  }
})

test('a run reports the pipeline of a cluster that holds the group, and leaves its claim alone', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  const { stats } = streamPlace(pipelineWith({})).keys
  const claimant = { cluster: 'c1', namespace: 'farm', name: 'ndvi', uid: '0b7f3c1e-0000-4000-8000-000000000001' }
  const owner = `${Date.now() - 4_000} ${claimant.uid} ${JSON.stringify(claimant)}`
  await client.hset(stats, 'owner', owner)
  const file = await pipelineFile(t, server.url)
  const up = await startCli(t, ['up', '-f', file, '-o', 'json'])
  await up.output(/StreamPipeline farm\/ndvi of a cluster holds group ndvi of stream ndvi:jobs: its operator renewed/, patience)
  assert.equal((await up.stop('SIGINT', 60_000)).code, 0, up.stderr())
  assert.equal(await client.hget(stats, 'owner'), owner)
  // One that lapsed, or that no operator wrote, is none.
  for (const none of [`${Date.now() - 700_000} u ${JSON.stringify(claimant)}`, `${Date.now()} u {"name":"\u001b[2J"}`, 'x']) {
    await client.hset(stats, 'owner', none)
    assert.equal(await claimOf(client, { stats }, Date.now()), undefined, none)
  }
})

test('a killed run ends its children, and the next one cleans up after it and after no other', async (t) => {
  const server = await startRedis(t)
  const client = server.client()
  const mark = `${process.pid}-${Date.now()}`
  // Files of other programs in the temporary folder do not count.
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-killed-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const TMPDIR = folder
  const file = await pipelineFile(t, server.url, { reclaim: { minIdle: '60s', interval: '1h' } })
  const living = await startCli(t, ['up', '-f', file, '-o', 'json'], { env: { TMPDIR } })
  await living.output(/serves its metrics/, patience)
  const killed = await startCli(t, ['up', '-f', file, '-o', 'json'], { env: { TMPDIR, STREAMPIPELINE_KILL_TEST: mark } })
  const [, consumer = ''] = await killed.output(/consumer ndvi-1 started \(pid (\d+)\)/, patience)
  await killed.output(/serves its metrics/, patience)
  const [, logs = ''] = await killed.output(/consumers log to (\S+)\/logs/, patience)
  const [, others = ''] = await living.output(/consumers log to (\S+)\/logs/, patience)
  // Frozen, it neither drains nor obeys.
  process.kill(Number(consumer), 'SIGSTOP')
  killed.signal('SIGKILL')
  const killedAt = performance.now()
  const left = async () => (await markedProcesses('STREAMPIPELINE_KILL_TEST', mark)).length
  await eventually(async () => (await left()) === 0, patience)
  const tookMs = performance.now() - killedAt
  t.diagnostic(`gone after ${Math.round(tookMs)} ms`)
  assert.ok(tookMs < 5_000, `${tookMs} ms`)

  const next = await startCli(t, ['up', '-f', file, '-o', 'json'], { env: { TMPDIR } })
  await next.output(/an earlier run was killed: removed what was left \(folders: 1, processes: 0\)/, patience)
  await next.output(/1 consumer that is not of this run/, patience)
  const folders = await readdir(folder)
  assert.ok(!folders.some((name) => logs.endsWith(name)))
  assert.ok(
    folders.some((name) => others.endsWith(name)),
    'one in use stays',
  )
  await addEntries(client, stream, 4)
  await eventually(async () => (await client.llen('bull:ndvi:wait')) === 4, patience)
  for (const up of [living, next]) assert.equal((await up.stop('SIGINT', 60_000)).code, 0, up.stderr())
  assert.deepEqual(await client.xinfo('CONSUMERS', stream, 'ndvi'), [])
})
