/** The first test file that needs a shared folder makes it; the others use it. */
import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { madeOnce, sharedVariable } from './madeonce.ts'
import { restoreVariable } from './variable.ts'

/** The folder of a run, in place of that of the present one. */
async function sharedFolder(t: TestContext): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-shared-'))
  restoreVariable(t, sharedVariable)
  process.env[sharedVariable] = join(folder, 'shared')
  t.after(async () => await rm(folder, { recursive: true }))
}

test('the first makes it, and the others wait until it is whole', async (t) => {
  await sharedFolder(t)
  let made = 0
  const make = async (folder: string) => {
    made += 1
    await sleep(300)
    await writeFile(join(folder, 'whole'), String(made))
  }
  const folders = await Promise.all(Array.from({ length: 3 }, () => madeOnce(t, 'thing', make)))
  assert.equal(made, 1)
  assert.equal(new Set(folders).size, 1)
  for (const folder of folders) assert.equal(await readFile(join(folder, 'whole'), 'utf8'), '1')
})

test('if it cannot be made, the first gets the cause, and the others fail at once', async (t) => {
  await sharedFolder(t)
  const fails = async () => {
    await sleep(100)
    throw new Error('no disk')
  }
  const outcomes = await Promise.allSettled([madeOnce(t, 'thing', fails), madeOnce(t, 'thing', fails)])
  const texts = outcomes.map((outcome) => (outcome.status === 'rejected' ? String(outcome.reason) : 'made')).sort()
  assert.deepEqual(texts, ['Error: another test file could not make thing', 'Error: no disk'])
})
