import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { Outcomes } from '../../local/demo/outcomes.ts'
import { freePort } from '../support/port.ts'
import { runCli, startCli } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import type { Scope } from '../support/scope.ts'
import { eventually } from '../support/wait.ts'

/** A command line starts, and consumers under it. */
const patience = { timeoutMs: 60_000 }

const demo = ['up', '-f', 'examples/quickstart.yaml', '--redis', 'private', '--demo', '-o', 'json']

function outcomesFrom(stdout: string): Outcomes {
  assert.equal(stdout.trim().split('\n').length, 1, `one line alone, not:\n${stdout}`)
  return JSON.parse(stdout) as Outcomes
}

function assertSound(outcomes: Outcomes, story: string): void {
  assert.equal(outcomes.lost, 0, story)
  assert.equal(outcomes.duplicateJobs, 0, story)
  assert.equal(outcomes.jobs, outcomes.uniqueKeys, story)
  assert.ok(outcomes.entries > outcomes.uniqueKeys + outcomes.deadLetters, `some are repeats: ${JSON.stringify(outcomes)}`)
  assert.ok(outcomes.deadLetters > 0, `some are broken: ${JSON.stringify(outcomes)}`)
}

test('the quick start runs every distinct request once, dead-letters the broken ones, and scales out', async (t) => {
  const { code, stdout, stderr } = await runCli(t, [...demo, '--for', '10s'], { timeoutMs: 150_000 })
  assert.equal(code, 0, `${stdout}\n${stderr}`)
  const outcomes = outcomesFrom(stdout)
  assertSound(outcomes, stderr)
  assert.ok(outcomes.maxReplicas >= 2, stderr)
  assert.match(stderr, /replicas \d -> \d: oldest /)
})

test('a killed consumer and a killed Redis lose nothing and repeat nothing', async (t) => {
  const up = await startCli(t, demo)
  const [, redis = ''] = await up.output(/private Redis at \S+ \(pid (\d+)\)/, patience)
  const [, consumer = ''] = await up.output(/consumer ndvi-1 started \(pid (\d+)\)/, patience)
  await up.output(/forwarded [1-9]/, patience)
  process.kill(Number(consumer), 'SIGKILL')
  await up.output(/consumer ndvi-1 ended \(SIGKILL\); starting it again/, patience)
  await up.output(new RegExp(`consumer ndvi-1 started \\(pid (?!${consumer}\\))\\d+\\)`), patience)
  process.kill(Number(redis), 'SIGKILL')
  await up.output(/redis-server is back/, patience)
  const { code } = await up.stop('SIGINT', 120_000)
  assert.equal(code, 0, `${up.stdout()}\n${up.stderr()}`)
  assertSound(outcomesFrom(up.stdout()), up.stderr())
})

/** The quick start, pointed at another Redis, with a single consumer however late that starts. */
async function quickstartAt(t: Scope, url: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-file-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'quickstart.yaml')
  const text = await readFile('examples/quickstart.yaml', 'utf8')
  await writeFile(file, text.replace('redis://127.0.0.1:6379/0', url).replace(/maxReplicas: \d+/, 'maxReplicas: 1'))
  return file
}

test('without a demo it moves what others add, through a Redis whose password a folder of references holds; a signal drains it', async (t) => {
  const redis = await startRedis(t, { password: 'opensesame' })
  const client = redis.client()
  const file = await quickstartAt(
    t,
    `redis://127.0.0.1:${redis.port}\n    passwordFrom: {secretKeyRef: {name: auth, key: password}}`,
  )
  const refs = join(dirname(file), 'refs')
  await mkdir(join(refs, 'secret', 'auth'), { recursive: true })
  await writeFile(join(refs, 'secret', 'auth', 'password'), 'opensesame')
  const up = await startCli(t, ['up', '-f', file, '--refs', refs, '-o', 'json'])
  await up.output(/consumer ndvi-1 started/, patience)
  for (const request of ['a', 'b', 'a']) {
    const fields = { job_id: 1, farm_id: 1, engine: 'local-raster', job_type: 'ndvi_raster', enqueue_timestamp: 1 }
    await client.xadd('ndvi:jobs', '*', ...Object.entries({ ...fields, request_hash: request.repeat(64) }).flat())
  }
  await client.xadd('ndvi:jobs', '*', 'job_id', 'none')
  await eventually(async () => (await client.llen('bull:ndvi:wait')) === 2 && (await client.xlen('{ndvi:jobs}:dead')) === 1, {
    timeoutMs: 60_000,
  })
  await up.output(/forwarded 2 {2}duplicates 1 {2}dead letters 1$/m, patience)
  const { code } = await up.stop('SIGINT', 60_000)
  assert.equal(code, 0, up.stderr())
  const moved = { entries: 4, forwarded: 2, duplicates: 1, deadLetters: 1, left: 0, maxReplicas: 1 }
  assert.deepEqual(JSON.parse(up.stdout()), moved)
  assert.deepEqual(await client.xinfo('CONSUMERS', 'ndvi:jobs', 'ndvi'), [])
})

test('a second signal ends everything at once', async (t) => {
  const up = await startCli(t, demo)
  const [, consumer = ''] = await up.output(/consumer ndvi-1 started \(pid (\d+)\)/, patience)
  await up.output(/forwarded [1-9]/, patience)
  // As long as it does not answer, nothing is drained.
  process.kill(Number(consumer), 'SIGSTOP')
  up.signal('SIGINT')
  await up.output(/draining/, patience)
  const { code } = await up.stop('SIGINT', 20_000)
  assert.equal(code, 130, up.stderr())
  assert.equal(up.stdout(), '')
  assert.match(up.stderr(), /stopped at once; the private Redis is gone/)
})

test('what cannot be used is said before anything starts', async (t) => {
  const nowhere = `redis://127.0.0.1:${await freePort()}`
  for (const [args, code, said] of [
    [['-f', 'no-such-file.yaml'], 64, /cannot read no-such-file\.yaml/],
    [['-f', 'examples/quickstart.yaml', '--name', 'other'], 64, /holds ndvi; name one/],
    [['-f', await quickstartAt(t, nowhere)], 69, /cannot be reached.*\n.*check the address/],
  ] as const) {
    const ended = await runCli(t, ['up', ...args])
    assert.equal(ended.code, code, ended.stderr)
    assert.match(ended.stderr, said)
    assert.equal(ended.stdout, '')
  }
})
