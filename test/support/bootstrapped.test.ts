/** Servers that a process has at one time are copies of different control planes, and so different clusters. */
import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  bootstrappedVariable,
  claimNumber,
  numbered,
  offerBootstrapped,
  projectCrd,
  returnNumber,
  takeBootstrapped,
} from './bootstrapped.ts'
import { restoreVariable } from './variable.ts'

test('a number is taken once until it is returned, by a copy or by a borrowed server', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-bootstrapped-'))
  restoreVariable(t, bootstrappedVariable)
  t.after(async () => await rm(folder, { recursive: true }))
  offerBootstrapped(folder)
  for (const number of [0, 1, 2]) await mkdir(numbered(folder, number))
  const take = () => takeBootstrapped([projectCrd])?.number
  assert.equal(takeBootstrapped([]), undefined, 'another server than those that were kept')
  assert.equal(take(), 0)
  assert.equal(claimNumber(0), false)
  assert.equal(claimNumber(1), true)
  assert.deepEqual([take(), take()], [2, undefined])
  returnNumber(1)
  assert.equal(take(), 1)
})
