import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { cp, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { nodeComplaint } from '../../../cli/nodeversion.ts'
import { isAbsolute, linksIn } from '../../api/support/links.ts'
import { run } from '../../support/process.ts'
import { startRedis } from '../../support/redis.ts'
import { projectRoot } from '../../support/root.ts'
import { installPackage } from './install.ts'

const fixture = join(projectRoot, 'test', 'scenarios', 'package', 'fixture')

const installed = await installPackage({ after })
for (const name of ['use.js']) await cp(join(fixture, name), join(installed.app, name))

const bin = (name: string) => join(installed.app, 'node_modules', '.bin', name)
const inPackage = (...path: string[]) => join(installed.folder, ...path)

test('the tarball holds compiled code, declarations, the CRD, examples, documents and license, and nothing else', () => {
  const { files } = installed
  for (const path of ['LICENSE', 'README.md', 'package.json', 'crds/streampipelines.yaml', 'examples/quickstart.yaml']) {
    assert.ok(files.has(path), `${path} is missing`)
  }
  const strange = [...files.keys()].filter(
    (path) =>
      !/^(dist\/.*\.(js|cjs|mjs|d\.ts)|dist\/licenses\.txt|crds\/.*\.yaml|docs\/.*\.(md|svg)|examples\/.*|LICENSE|[A-Z]+\.md|package\.json)$/.test(
        path,
      ),
  )
  assert.deepEqual(strange, [])
  assert.equal((files.get('dist/cli/main.mjs') ?? 0) & 0o111, 0o111, 'the command is not executable')
})

test('each link of the packed README is absolute, or leads to something packed', async () => {
  const links = linksIn(await readFile(inPackage('README.md'), 'utf8'))
  assert.ok(links.length > 10, `only ${links.length} were found`)
  const packed = [...installed.files.keys()]
  const dead = links
    .map(({ target }) => target.split('#')[0] ?? '')
    .filter((target) => target !== '' && !isAbsolute(target))
    .filter((target) => !packed.some((path) => path === target || path.startsWith(`${target}/`)))
  assert.deepEqual(dead, [])
})

for (const name of ['streampipeline', 'kubectl-streampipeline']) {
  test(`${name} runs as installed, by its own first line`, async (t) => {
    const path = `${dirname(process.execPath)}:${process.env['PATH']}`
    const result = await run(t, ['--version'], { command: bin(name), cwd: installed.app, env: { PATH: path } })
    const { version } = JSON.parse(await readFile(inPackage('package.json'), 'utf8')) as { version: string }
    assert.deepEqual([result.code, result.stdout, result.stderr], [0, `${version}\n`, ''])
  })
}

test('the installed command validates the installed example', async (t) => {
  const result = await run(t, [bin('streampipeline'), 'validate', inPackage('examples', 'quickstart.yaml')])
  assert.equal(result.code, 0, result.stdout + result.stderr)
})

test('an application in JavaScript dispatches, works and validates with it', async (t) => {
  const server = await startRedis(t)
  const result = await run(t, ['use.js', inPackage('examples', 'quickstart.yaml'), server.url], { cwd: installed.app })
  assert.equal(result.code, 0, result.stdout + result.stderr)
  assert.deepEqual(JSON.parse(result.stdout), {
    handlesAtImport: [],
    problems: [],
    kind: 'StreamPipeline',
    refused: 'PayloadRejected',
    mode: 'Stream',
    outcome: 'forwarded',
    executed: 1,
  })
})

test('the installed example application runs: without a consumer by going Direct', async (t) => {
  const server = await startRedis(t)
  const env = { REDIS_URL: server.url, STREAMPIPELINE_MODE: 'Direct' }
  const result = await run(t, [inPackage('examples', 'application.js')], { cwd: installed.app, env })
  assert.equal(result.code, 0, result.stdout + result.stderr)
  // Lines of the worker come in between, if the last dispatch is late.
  const jobs = result.stdout.split('\n').filter((line) => line.startsWith('job '))
  assert.deepEqual(jobs, ['job forwarded', 'job forwarded', 'job duplicate'])
  assert.match(result.stdout, /upstream_requests_total\{[^}]*\} 2/)
})

test('the command line refuses every Node that package.json does not name', async () => {
  const { engines } = JSON.parse(await readFile(join(projectRoot, 'package.json'), 'utf8')) as { engines: { node: string } }
  assert.equal(engines.node, '^20.19 || ^22.12 || >=24')
  for (const version of ['18.20.8', '20.18.3', '21.7.3', '22.11.0', '23.11.1'])
    assert.match(
      nodeComplaint(version) ?? '',
      /needs Node\.js 20 \(20\.19 or later\), 22 \(22\.12 or later\), or 24 and newer\. This is /,
    )
  for (const version of ['20.19.0', '20.20.2', '22.12.0', '24.0.0', '25.1.0', '100.0.0'])
    assert.equal(nodeComplaint(version), undefined)
})
