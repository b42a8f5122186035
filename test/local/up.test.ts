import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Ledger } from '../../local/demo/ledger.ts'
import { runCli, startCli } from '../support/process.ts'

const demo = ['up', '-f', 'examples/quickstart.yaml', '--redis', 'private', '--demo', '-o', 'json']

function ledgerFrom(stdout: string): Ledger {
  assert.equal(stdout.trim().split('\n').length, 1, `one line alone, not:\n${stdout}`)
  return JSON.parse(stdout) as Ledger
}

function assertSound(ledger: Ledger, story: string): void {
  assert.equal(ledger.lost, 0, story)
  assert.equal(ledger.duplicateJobs, 0, story)
  assert.equal(ledger.jobs, ledger.uniqueKeys, story)
  assert.ok(ledger.entries > ledger.uniqueKeys + ledger.deadLetters, `some are repeats: ${JSON.stringify(ledger)}`)
  assert.ok(ledger.deadLetters > 0, `some are broken: ${JSON.stringify(ledger)}`)
}

test('the quick start runs every distinct request once, dead-letters the broken ones, and scales out', async (t) => {
  const { code, stdout, stderr } = await runCli(t, [...demo, '--for', '5s'], { timeoutMs: 90_000 })
  assert.equal(code, 0, stderr)
  const ledger = ledgerFrom(stdout)
  assertSound(ledger, stderr)
  assert.ok(ledger.maxReplicas >= 2, stderr)
  assert.match(stderr, /replicas \d -> \d: oldest /)
})

test('a killed consumer and a killed Redis lose nothing and repeat nothing', async (t) => {
  const up = await startCli(t, [...demo, '--for', '6s'])
  const [, redis = ''] = await up.output(/private Redis at \S+ \(pid (\d+)\)/)
  const [, consumer = ''] = await up.output(/consumer ndvi-1 started \(pid (\d+)\)/)
  await up.output(/forwarded [1-9]/, { timeoutMs: 30_000 })
  process.kill(Number(consumer), 'SIGKILL')
  await up.output(/consumer ndvi-1 ended \(SIGKILL\); starting it again/)
  await up.output(/consumer ndvi-1 started \(pid (?!${consumer}\))\d+\)/)
  process.kill(Number(redis), 'SIGKILL')
  await up.output(/redis-server is back/)
  const { code } = await up.exit
  assert.equal(code, 0, up.stderr())
  assertSound(ledgerFrom(up.stdout()), up.stderr())
})
