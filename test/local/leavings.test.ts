import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownerVariable } from '../../consumer/identity.ts'
import { cleanLeavings } from '../../local/leavings.ts'
import { markOf } from '../../local/processmark.ts'
import { createRunFolder, recordName } from '../../local/runfolder.ts'
import { startProcess } from '../support/process.ts'

const idle = ['--eval', 'setInterval(() => {}, 1000); console.log("up")']

test('what a dead run left goes; shared, unknown and used things stay', async (t) => {
  const parent = await mkdtemp(join(tmpdir(), 'streampipeline-leavings-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  const own = await markOf(process.pid)
  assert.ok(own)
  const leave = async (name: string, record: unknown) => {
    const folder = join(parent, name)
    await mkdir(join(folder, 'redis'), { recursive: true })
    await writeFile(join(folder, 'pipeline.yaml'), '')
    if (record !== undefined)
      await writeFile(join(folder, recordName), typeof record === 'string' ? record : JSON.stringify(record))
  }
  const gone = { ...own, pid: 999_999_999 }
  await leave('streampipeline-up-dead', { version: 1, owner: 'local-dead-1-1', process: gone })
  await leave('streampipeline-up-reborn', { version: 1, owner: 'local-reborn-1-1', process: { ...own, started: '1' } })
  await leave('streampipeline-up-elsewhere', { version: 1, owner: 'local-else-1-1', process: { ...gone, space: 'another host' } })
  await leave('streampipeline-up-later', { version: 2, owner: 'local-later-1-1', process: gone })
  await leave('streampipeline-up-broken', '{"version":1,')
  await leave('streampipeline-up-unrecorded', undefined)
  await leave('streampipeline-redis-of-a-test', { version: 1, owner: 'local-dead-1-1', process: gone })
  await mkdir(join(parent, 'streampipeline-up-fresh'))
  await mkdir(join(parent, 'streampipeline-up-forgotten'))
  await utimes(join(parent, 'streampipeline-up-forgotten'), 1, 1)
  const inUse = await createRunFolder('local-alive-1-1', parent)

  const orphan = await startProcess(t, idle, { env: { [ownerVariable]: 'local-dead-1-1' } })
  const others = await startProcess(t, idle, { env: { [ownerVariable]: 'local-dead-1-11' } })
  await Promise.all([orphan.output(/up/), others.output(/up/)])
  const { owners, folders, processes } = await cleanLeavings(parent)
  assert.deepEqual([...owners].toSorted(), ['local-dead-1-1', 'local-reborn-1-1'])
  assert.deepEqual([folders, processes], [2, 1])
  assert.equal((await orphan.exit).signal, 'SIGKILL')
  assert.ok(others.running())
  const kept = (await readdir(parent)).map((name) => join(parent, name))
  const expected = ['redis-of-a-test', 'up-broken', 'up-elsewhere', 'up-fresh', 'up-later', 'up-unrecorded']
  assert.deepEqual(kept.toSorted(), [...expected.map((name) => join(parent, `streampipeline-${name}`)), inUse].toSorted())
  assert.deepEqual(await cleanLeavings(parent), { owners: [], folders: 0, processes: 0 })
  assert.deepEqual(await cleanLeavings(join(parent, 'missing')), { owners: [], folders: 0, processes: 0 })
})
