/**
 * The package in an application: its size, the time of its import, and the releases of Node and of its peers on which it runs. It changes
 * nothing of other packages.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { npmNode, npmPackages } from '../../support/npmpackages.ts'
import { run } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import type { Scope } from '../../support/scope.ts'
import { installPackage, sizeOf } from './install.ts'

const fixture = join(projectRoot, 'test', 'scenarios', 'package', 'fixture')
const installed = await installPackage({ after })
const { app } = installed
for (const name of ['use.js', 'use.cjs', 'use.ts', 'tsconfig.json', 'importcost.js', 'prototypes.js', 'cjs'])
  await cp(join(fixture, name), join(app, name), { recursive: true })

const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc')

test('an application installs at most 15 MiB beyond the peers, and no Kubernetes client', async () => {
  const own = installed.packages.filter((path) => !installed.ofPeers.has(path))
  assert.deepEqual(
    own.filter((path) => path.includes('kubernetes')),
    [],
  )
  const sizes = await Promise.all(own.map(async (path) => await sizeOf(join(app, path))))
  const mebibytes = sizes.reduce((sum, size) => sum + size, 0) / 2 ** 20
  console.log(`${own.length} packages, ${mebibytes.toFixed(1)} MiB: ${own.map((path) => path.slice(13)).join(', ')}`)
  assert.ok(mebibytes <= 15, `${mebibytes.toFixed(1)} MiB in ${own.join(', ')}`)
})

test('its import takes at most 100 ms of CPU beyond those of the peers', async (t) => {
  const peers = ['bullmq', 'ioredis']
  const cost = async (...names: readonly string[]) => {
    const { stdout, stderr } = await run(t, ['importcost.js', ...names], { cwd: app })
    assert.ok(Number(stdout) > 0, stderr)
    return Number(stdout)
  }
  const [alone, beyond]: [number[], number[]] = [[], []]
  for (let round = 0; round < 5; round++) {
    alone.push(await cost('--', ...peers))
    beyond.push(await cost(...peers, '--', 'streampipeline', 'streampipeline/testing'))
  }
  console.log(`peers ${median(alone).toFixed(0)} ms, the library beyond them ${median(beyond).toFixed(0)} ms`)
  assert.ok(median(beyond) <= 100, `${beyond.join(', ')} ms`)
})

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

test('neither peer is loaded by the import', async (t) => {
  const script = `await import('streampipeline'); await import('streampipeline/testing')
    const { _cache } = (await import('node:module')).default
    console.log(Object.keys(_cache).filter((path) => /node_modules.(bullmq|ioredis|prom-client)/.test(path)).length)`
  const { stdout, stderr } = await run(t, ['--input-type=module', '-e', script], { cwd: app })
  assert.equal(stdout, '0\n', stderr)
})

test('no prototype and nothing global changes, by the import or by use', async (t) => {
  const server = await startRedis(t)
  const { code, stdout, stderr } = await run(t, ['prototypes.js', server.url], { cwd: app })
  assert.equal(code, 0, stdout + stderr)
  const { outcome, owners, changes } = JSON.parse(stdout) as { outcome: string; owners: number; changes: readonly string[] }
  assert.equal(outcome, 'completed')
  assert.ok(owners > 200, `only ${owners} were compared`)
  assert.deepEqual(changes, [])
})

const oldest = '20.19.0'
for (const version of [oldest, '22.12.0', '24.0.0']) {
  test(`it runs on Node ${version}: as a module, by require, and as a command`, async (t) => {
    const { program: command, skip } = await npmNode(t, version)
    if (skip !== false) return t.skip(skip)
    const server = await startRedis(t)
    const example = join(installed.folder, 'examples', 'quickstart.yaml')
    assert.equal((await run(t, ['--version'], { command })).stdout, `v${version}\n`)
    await dispatchesAndWorks(t, app, command, server.url)
    const required = await run(t, ['use.cjs'], { command, cwd: app })
    assert.equal(required.code, 0, required.stderr)
    assert.deepEqual(JSON.parse(required.stdout), { same: true, refused: 'InvalidPipeline', duration: 30_000, kit: 'function' })
    const cli = join(installed.folder, 'dist', 'cli', 'main.mjs')
    const validated = await run(t, [cli, 'validate', example], { command })
    assert.equal(validated.code, 0, validated.stderr)
    // `up` runs on the oldest Node, which could lack most. Other tests run it on the newest.
    if (version !== oldest) return
    const options = ['--redis', 'private', '--demo', '--for', '2s', '-o', 'json']
    const up = await run(t, [cli, 'up', '-f', example, ...options], { command, timeoutMs: 90_000 })
    assert.equal(up.code, 0, up.stdout + up.stderr)
  })
}

/** Programs of applications, by the folder whose packages they see. One run of the compiler checks all of them. */
const programs = [join(app, 'use.ts'), join(app, 'cjs', 'use.ts')]

const others = [
  { bullmq: '5.81.5', ioredis: '5.11.1' },
  { bullmq: '6.0.0', ioredis: '6.0.0' },
]
for (const versions of others) {
  test(`it runs on BullMQ ${versions.bullmq} with ioredis ${versions.ioredis}`, async (t) => {
    const { folder, skip } = await npmPackages(t, { ...versions, 'prom-client': '15.1.3' })
    if (skip !== false) return t.skip(skip)
    // Packages resolve from their real place, so that the library has to stand beside the other peers.
    const place = join(app, `with-${versions.bullmq}`)
    await mkdir(join(place, 'node_modules'), { recursive: true })
    await cp(join(folder, 'node_modules'), join(place, 'node_modules'), { recursive: true })
    const copy = join(place, 'node_modules', 'streampipeline')
    await cp(installed.folder, copy, { recursive: true })
    // Of several packages with the same name and version TypeScript reads only the first. That one stands beside other peers, so
    // this copy gets a version of its own.
    const manifest = join(copy, 'package.json')
    const { version, ...rest } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string }
    await writeFile(manifest, JSON.stringify({ ...rest, version: `${version}-beside.${versions.bullmq}` }))
    for (const name of ['use.js', 'use.ts', 'tsconfig.json']) await cp(join(fixture, name), join(place, name))
    await cp(join(app, 'package.json'), join(place, 'package.json'))
    const server = await startRedis(t)
    await dispatchesAndWorks(t, place, process.execPath, server.url)
    programs.push(join(place, 'use.ts'))
  })
}

test('TypeScript accepts it strictly, in modules and in CommonJS, beside each of these peers, with the declarations checked', async (t) => {
  const file = join(app, 'tsconfig.json')
  const config = JSON.parse(await readFile(file, 'utf8')) as object
  await writeFile(file, JSON.stringify({ ...config, files: programs }))
  // Compiler and Node's types are the application's own matter; this project's are lent to it.
  for (const name of ['@types', 'undici-types'])
    await symlink(join(projectRoot, 'node_modules', name), join(app, 'node_modules', name)).catch(ignorePresent)
  const result = await run(t, [compiler, '-p', '.', '--listFiles'], { cwd: app, timeoutMs: 120_000 })
  assert.equal(result.code, 0, result.stdout + result.stderr)
  const read = result.stdout
    .split('\n')
    .filter((path) => path.endsWith('/node_modules/streampipeline/dist/types/client/index.d.ts'))
  assert.equal(read.length, 1 + others.length, `declarations of each copy, not ${read.join(', ')}`)
})

async function dispatchesAndWorks(scope: Scope, cwd: string, command: string, url: string): Promise<void> {
  const example = join(installed.folder, 'examples', 'quickstart.yaml')
  const used = await run(scope, ['use.js', example, url], { command, cwd, timeoutMs: 60_000 })
  assert.equal(used.code, 0, used.stdout + used.stderr)
  const { mode, outcome, executed } = JSON.parse(used.stdout) as Record<string, unknown>
  assert.deepEqual([mode, outcome, executed], ['Stream', 'forwarded', 1])
}

/** A dependency brought it along, or the folder has no packages of its own. */
function ignorePresent(thrown: unknown): void {
  if (!['EEXIST', 'ENOENT'].includes((thrown as NodeJS.ErrnoException).code ?? '')) throw thrown
}
