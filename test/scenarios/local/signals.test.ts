import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { appendFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { pipelineFile } from '../../local/quickstart.ts'
import { freePort } from '../../support/port.ts'
import { runCli, startCli, startProcess } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { eventually } from '../../support/wait.ts'

const patience = { timeoutMs: 60_000 }

test('after a second signal each consumer is reported as killed on request, and no line of its log is quoted as the reason', async (t) => {
  const server = await startRedis(t)
  const up = await startCli(t, ['up', '-f', await pipelineFile(t, server.url), '-o', 'json'])
  const [, consumer = ''] = await up.output(/consumer ndvi-1 started \(pid (\d+)\)/, patience)
  await up.output(/serves its metrics/, patience)
  process.kill(Number(consumer), 'SIGSTOP')
  up.signal('SIGINT')
  await up.output(/draining/, patience)
  const { code } = await up.stop('SIGINT', 20_000)
  assert.equal(code, 130, up.stderr())
  assert.equal(up.stdout(), '')
  assert.match(up.stderr(), /consumer ndvi-1 was killed, as requested\n/)
  assert.match(up.stderr(), /streampipeline: stopped at once; what was left is still in Redis\n$/)
  assert.doesNotMatch(up.stderr(), /"level"|consumer ndvi-1 ended/)
})

test('two signals end a run that still starts, with what it has started', async (t) => {
  const server = await startRedis(t)
  const file = await pipelineFile(t, server.url)
  const up = await startCli(t, ['up', '-f', file, '--redis', 'private', '-o', 'json'])
  const [, folder = ''] = await up.output(/private Redis at unix:\/\/(\S+)\/redis\/redis\.sock/, patience)
  up.signal('SIGINT')
  await up.output(/draining/, patience)
  const { code } = await up.stop('SIGINT', 20_000)
  if (code === 130) assert.match(up.stderr(), /stopped at once; the private Redis is gone/)
  else assert.equal(code, 0, 'the first was enough')
  await assert.rejects(readdir(folder))
})

test('a consumer that dies by a signal has said nothing about it; one that Node ends has', async (t) => {
  const server = await startRedis(t)
  const up = await startCli(t, ['up', '-f', await pipelineFile(t, server.url), '-o', 'json'])
  const [, consumer = ''] = await up.output(/consumer ndvi-1 started \(pid (\d+)\)/, patience)
  await up.output(/serves its metrics/, patience)
  process.kill(Number(consumer), 'SIGKILL')
  await up.output(/consumer ndvi-1 ended \(SIGKILL\); starting it again\n/, patience)
  assert.equal((await up.stop('SIGINT', 60_000)).code, 0, up.stderr())
})

test('without a Redis the remedy names --redis private, unless that is what failed', async (t) => {
  const file = await pipelineFile(t, `redis://127.0.0.1:${await freePort()}`)
  const { code, stderr } = await runCli(t, ['up', '-f', file])
  assert.equal(code, 69)
  assert.match(stderr, /cannot be reached.*\n {2}check the address and that the server runs; or add --redis private/)
  assert.doesNotMatch(stderr, /NetworkPolicy/)
})

test('what it prints to paste works while it runs: dead letters, logs, metrics; a changed file is noticed', async (t) => {
  const server = await startRedis(t)
  const file = await pipelineFile(t, server.url)
  const up = await startCli(t, ['up', '-f', file, '--redis', 'private', '-o', 'json'])
  const [, open = ''] = await up.output(/^ {2}(redis-cli -s .+)$/m, patience)
  const [, list = ''] = await up.output(/^ {2}(\S+ \S+ dead list .+)$/m, patience)
  const [, logs = ''] = await up.output(/consumers log to (\S+)/, patience)
  const [, metrics = ''] = await up.output(/serves its metrics at (\S+)/, patience)
  const shell = async (text: string) => {
    const child = await startProcess(t, ['-c', text], { command: 'sh', cwd: '/' })
    await child.exit
    return `${child.stdout()}${child.stderr()}`
  }
  await shell(`${open} XADD ndvi:jobs '*' nothing 'of use'`)
  await eventually(async () => assert.match(await shell(list), /SchemaViolation|IdempotencyKey|\d+-\d+ /), patience)
  assert.match(await (await fetch(metrics)).text(), /pipeline="ndvi"/)
  assert.match(await readFile(`${logs}/ndvi-1.log`, 'utf8'), /"consumer starts"/)

  await writeFile(file, await readFile(file, 'utf8'))
  assert.doesNotMatch(up.stderr(), /has changed/)
  await appendFile(file, '\n')
  await up.output(
    /pipeline\.json has changed; this run goes on with the old text: to use the new one, end it with Ctrl-C/,
    patience,
  )
  assert.equal((await up.stop('SIGINT', 60_000)).code, 0, up.stderr())
  await assert.rejects(readdir(logs))
})
