/** The content of the images: the two bundles, their bill of materials, and the Dockerfile's promises. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { after, before } from 'node:test'
import { packageFolder } from '../../../build/billofmaterials.ts'
import { bundleAll } from '../../../build/bundle.ts'
import { imageNames, mallocSettings, v8Flags } from '../../../build/v8flags.ts'
import { run, startProcess } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { shortest } from '../../support/shortest.ts'

const folder = await mkdtemp(join(tmpdir(), 'streampipeline-images-'))
before(async () => void (await bundleAll(folder)))
after(async () => await rm(folder, { recursive: true, force: true }))

/** The bar for a cold start is a second. A machine that runs other tests at the same time gets some slack, and three tries. */
const coldStartMs = 5_000

for (const name of imageNames) {
  const program = join(folder, name, 'bin', `${name}.mjs`)

  test(`the ${name} image's program starts alone, without node_modules, and knows its version`, async (t) => {
    const { version } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { version: string }
    const tookMs = await shortest(coldStartMs, async () => {
      const startedAt = performance.now()
      const { code, stdout, stderr } = await run(t, [program, '--version'], {
        cwd: folder,
        env: { NODE_OPTIONS: v8Flags[name] },
      })
      const startMs = performance.now() - startedAt
      assert.equal(code, 0, stderr)
      assert.equal(stdout.trim(), version)
      return startMs
    })
    assert.ok(tookMs < coldStartMs, `${tookMs} ms`)
  })

  test(`the ${name} image adds less than 60 MiB to its base`, async () => {
    assert.ok((await stat(program)).size < 60 * 2 ** 20)
  })

  test(`the ${name} image's bill of materials names each bundled package with version, licence and checksum`, async () => {
    const bill = JSON.parse(await readFile(join(folder, name, 'sbom.cdx.json'), 'utf8')) as {
      bomFormat: string
      components: { name: string; version: string; purl: string; licenses?: unknown[]; hashes?: unknown[] }[]
    }
    assert.equal(bill.bomFormat, 'CycloneDX')
    const names = bill.components.map((component) => component.name)
    assert.ok(names.includes(name === 'operator' ? '@kubernetes/client-node' : 'bullmq'), names.join(' '))
    for (const component of bill.components) {
      assert.match(component.version, /^\d/)
      assert.equal(component.purl, `pkg:npm/${component.name.replace('@', '%40')}@${component.version}`)
      assert.ok(component.licenses?.length === 1, `${component.name} states its licence`)
      assert.ok(component.hashes?.length === 1, `${component.name} has a checksum`)
    }
  })
}

test('the consumer image holds no Kubernetes client, and refuses what is not its business', async (t) => {
  const bill = await readFile(join(folder, 'consumer', 'sbom.cdx.json'), 'utf8')
  assert.doesNotMatch(bill, /@kubernetes/)
  const { code, stderr } = await run(t, [join(folder, 'consumer', 'bin', 'consumer.mjs'), 'operator'], { cwd: folder })
  assert.equal(code, 64)
  assert.match(stderr, /unknown command 'operator'/)
})

test('the consumer image knows the errors of Redis by their codes', async (t) => {
  const server = await startRedis(t)
  const redis = server.client()
  const file = join(folder, 'pipeline.json')
  const spec = {
    redis: { url: server.url },
    source: { stream: 'in', group: 'g' },
    payload: { idempotencyKey: ['id'] },
    sink: { bullmq: { queue: 'q', jobName: 'j' } },
  }
  const metadata = { name: 'coded' }
  await writeFile(file, JSON.stringify({ apiVersion: 'streampipeline.dev/v1alpha1', kind: 'StreamPipeline', metadata, spec }))
  const program = join(folder, 'consumer', 'bin', 'consumer.mjs')
  const child = await startProcess(t, [program, 'consume', '--config', file, '--name', 'one', '--listen', '127.0.0.1:0'])
  // Scripts that the server forgot: NOSCRIPT is no failure.
  await redis.script('FLUSH')
  await child.output(/"running"/)
  await redis.config('SET', 'maxmemory', '1')
  await child.output(/"code":"RedisOutOfMemory"/)
  assert.doesNotMatch(child.stdout(), /RedisUnreachable/)
})

test('packages are found in the paths that a bundler reports', () => {
  for (const [input, expected] of [
    ['node_modules/pino/lib/x.js', 'node_modules/pino'],
    ['node_modules/@scope/a/dist/x.js', 'node_modules/@scope/a'],
    ['node_modules/a/node_modules/@b/c/x.js', 'node_modules/a/node_modules/@b/c'],
    ['cli/images/consumer.ts', undefined],
  ] as const) {
    assert.equal(packageFolder(input), expected)
  }
})

test('the Dockerfile has the same settings of V8 and malloc, runs nothing, and ends as an unprivileged user', async () => {
  const dockerfile = await readFile(join(projectRoot, 'Dockerfile'), 'utf8')
  for (const name of imageNames) {
    const flags = `${name.toUpperCase()}_V8_FLAGS`
    const malloc = Object.entries(mallocSettings[name]).map(([variable, value]) => `${variable}=${value}`)
    assert.ok(dockerfile.includes(`ARG ${flags}="${v8Flags[name]}"\n`), name)
    assert.ok(dockerfile.includes(`ENV NODE_OPTIONS="\${${flags}}" ${malloc.join(' ')}\n`), name)
  }
  assert.doesNotMatch(dockerfile, /^RUN/m)
  assert.match(dockerfile, /^USER 65532:65532$/m)
})
