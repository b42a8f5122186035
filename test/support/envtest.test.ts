/** The published archive, from a server of this machine: whole, spoilt, silent, absent. */
import './leaks.ts'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { stringify } from 'yaml'
import { type EnvtestRequest, provideEnvtest } from './envtest.ts'
import { freePort } from './port.ts'

const name = (version: string) => `envtest-${version}-linux-amd64.tar.gz`

async function temporary(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'streampipeline-envtest-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function archive(t: TestContext, programs: readonly string[]): Promise<Buffer> {
  const folder = await temporary(t)
  const inner = join(folder, 'controller-tools', 'envtest')
  await mkdir(inner, { recursive: true })
  for (const program of programs) {
    await writeFile(join(inner, program), `#!/bin/sh\necho ${program}\n`)
    await chmod(join(inner, program), 0o755)
  }
  execFileSync('tar', ['-czf', join(folder, 'archive'), '-C', folder, 'controller-tools'])
  return await readFile(join(folder, 'archive'))
}

interface Published {
  readonly request: EnvtestRequest
  readonly asked: string[]
}

interface Publication {
  readonly content: Buffer
  readonly hash?: string
  readonly versions?: readonly string[]
  readonly index?: string
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean
}

async function publish(t: TestContext, { content, hash, versions, index, answer }: Publication): Promise<Published> {
  const asked: string[] = []
  const digest = hash ?? createHash('sha512').update(content).digest('hex')
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (answer?.(request, response)) return
    if (request.url === '/index.yaml') response.end(index ?? stringify({ releases }))
    else if (request.url?.endsWith('.tar.gz')) response.end(content)
    else response.writeHead(404).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const releases = Object.fromEntries(
    (versions ?? ['v1.36.9', 'v1.37.2', 'v1.37.10', 'v1.38.0', 'v1.37.11-rc.1']).map((version) => [
      version,
      { [name(version)]: { hash: digest, selfLink: `${base}/${name(version)}` } },
    ]),
  )
  const cache = await temporary(t)
  const request = { index: `${base}/index.yaml`, minor: '1.37', platform: 'linux', arch: 'x64', cache, say: () => {} } as const
  return { request: { ...request, waitMs: 300 }, asked }
}

const all = ['etcd', 'kube-apiserver', 'kubectl']

test('the newest release of the minor is downloaded once, and its programs run', async (t) => {
  const { request, asked } = await publish(t, { content: await archive(t, all) })
  const found = await provideEnvtest(request)
  assert.ok(found.kind === 'Found', JSON.stringify(found))
  assert.equal(found.version, 'v1.37.10')
  assert.equal(execFileSync(join(found.folder, 'etcd')).toString(), 'etcd\n')
  assert.deepEqual(await provideEnvtest(request), found)
  assert.deepEqual(asked, ['/index.yaml', `/${name('v1.37.10')}`, '/index.yaml'])
  assert.deepEqual((await readdir(request.cache)).length, 1, 'no unfinished folder is left')
})

const failures: readonly (readonly [string, Omit<Publication, 'content'>, readonly string[], RegExp])[] = [
  [
    'bytes that are not the published ones',
    { hash: '0'.repeat(128) },
    all,
    /has the SHA-512 [0-9a-f]{128}, and its index names 0{128}/,
  ],
  ['an archive that lacks a program', {}, ['etcd', 'kubectl'], /holds no program controller-tools\/envtest\/kube-apiserver/],
  ['an index without the minor', { versions: ['v1.36.0', 'v1.370.1'] }, all, /lists no v1\.37$/],
  ['an index that is none', { index: '<html>' }, all, /index\.yaml: /],
  ['an index with a hash that is none', { index: 'releases: {v1.37.0: {a: {hash: x, selfLink: y}}}' }, all, /index\.yaml: /],
  [
    'a server that fails',
    {
      answer: (_request, response) => {
        response.writeHead(503).end()
        return true
      },
    },
    all,
    /index\.yaml: answered 503/,
  ],
  ['a server that is silent', { answer: () => true }, all, /timeout/i],
  [
    'an archive that stops',
    {
      answer: (request, response) => {
        if (request.url === '/index.yaml') return false
        response.write('half')
        return true
      },
    },
    all,
    /sent nothing for 0\.3 s/,
  ],
]
for (const [title, publication, programs, expected] of failures) {
  test(`${title}: the reason is returned, and nothing is left`, async (t) => {
    const { request } = await publish(t, { content: await archive(t, programs), ...publication })
    const found = await provideEnvtest(request)
    assert.ok(found.kind === 'Missing')
    assert.match(found.reason, expected)
    assert.deepEqual(await readdir(request.cache), [])
  })
}

test('a machine without a network gets the reason', async (t) => {
  const [cache, port] = [await temporary(t), await freePort()]
  const index = `http://127.0.0.1:${port}/index.yaml`
  const found = await provideEnvtest({ index, minor: '1.37', platform: 'linux', arch: 'x64', cache, say: () => {} })
  assert.match(found.kind === 'Missing' ? found.reason : '', /index\.yaml: fetch failed: .*ECONNREFUSED/)
})
