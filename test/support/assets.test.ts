import './leaks.ts'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { buildFolder, findAssets } from './assets.ts'

const program = { mode: 0o755 }

const folderOf = async (t: TestContext, programs: readonly string[], below = '.'): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-assets-'))
  t.after(() => rm(folder, { recursive: true }))
  await mkdir(join(folder, below), { recursive: true })
  for (const name of programs) await writeFile(join(folder, below, name), '#!/bin/sh\n', program)
  return folder
}

test('KUBEBUILDER_ASSETS comes first; without a controller manager it says so', async (t) => {
  const folder = await folderOf(t, ['etcd', 'kube-apiserver', 'kubectl'])
  const found = await findAssets({ KUBEBUILDER_ASSETS: folder })
  assert.deepEqual(found, { kind: 'Found', folder, origin: 'KUBEBUILDER_ASSETS', controllers: false })
})

test('a KUBEBUILDER_ASSETS that lacks a program is an error, not a reason to look elsewhere', async (t) => {
  const folder = await folderOf(t, ['etcd', 'kubectl'])
  await assert.rejects(findAssets({ KUBEBUILDER_ASSETS: folder }), /holds no program kube-apiserver/)
})

test('a build is found in the cache of the user', async (t) => {
  const programs = ['etcd', 'kube-apiserver', 'kubectl', 'kube-controller-manager']
  const cache = await folderOf(t, [])
  const folder = buildFolder({ XDG_CACHE_HOME: cache })
  assert.ok(folder.startsWith(cache))
  await mkdir(folder, { recursive: true })
  for (const name of programs) await writeFile(join(folder, name), '#!/bin/sh\n', program)
  const found = await findAssets({ XDG_CACHE_HOME: cache })
  // A clone's own .cache/kube, where there is one, comes before it.
  assert.equal(found.kind === 'Found' && found.controllers, true)
})
