/** Which packages an installation brings, by a lock file. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { foldersOf, type Locked } from '../../../bench/library/installed.ts'
import { projectRoot } from '../../support/root.ts'

const locked: Locked = {
  '': { dependencies: { a: '1', peer: '1' } },
  'node_modules/a': { dependencies: { b: '1', shared: '1' }, optionalDependencies: { absent: '1' } },
  'node_modules/a/node_modules/b': { dependencies: { c: '1' } },
  'node_modules/b': {},
  'node_modules/c': { dependencies: { a: '1' } },
  'node_modules/peer': { dependencies: { shared: '1' } },
  'node_modules/shared': {},
  'node_modules/@scope/tool': {},
}

test('a package is looked for from the folder of its dependent upwards, as Node does', () => {
  assert.deepEqual([...foldersOf(locked, ['a'])].toSorted(), [
    'node_modules/a',
    'node_modules/a/node_modules/b',
    'node_modules/c',
    'node_modules/shared',
  ])
})

test('what is not locked is left out', () => {
  assert.deepEqual([...foldersOf(locked, ['unknown'])], [])
})

test('every folder of this project’s own lock file is found, and lies on the disk', () => {
  const lock = JSON.parse(readFileSync(join(projectRoot, 'package-lock.json'), 'utf8')) as { readonly packages: Locked }
  const folders = foldersOf(lock.packages, ['bullmq', 'ioredis'])
  assert.ok(folders.has('node_modules/bullmq') && folders.has('node_modules/ioredis'))
  assert.ok(folders.size > 2)
  // Optional ones are of other platforms.
  assert.ok(existsSync(join(projectRoot, 'node_modules/bullmq')))
})
