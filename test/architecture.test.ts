/** The rules of the repository as a whole: imports between folders, length of files, forbidden content. */
import './support/leaks.ts'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { posix } from 'node:path'
import test from 'node:test'
import { productFolders } from '../build/architecture.ts'
import { unusedExports } from '../build/exports.ts'
import { floorsOf, importsOf, roomsOf } from '../build/imports.ts'
import { projectRoot } from './support/root.ts'

/** The folders that each folder of the product may import. `api` is the core: it imports none. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  api: [],
  redis: ['api'],
  scaling: ['api', 'redis'],
  sampling: ['api', 'redis', 'scaling'],
  process: ['api'],
  consumer: ['api', 'process', 'redis', 'scaling', 'sampling'],
  operator: ['api', 'process', 'redis', 'scaling', 'sampling'],
  client: ['api', 'process', 'redis', 'scaling'],
  local: ['api', 'process', 'redis', 'scaling', 'sampling', 'consumer', 'client', 'operator'],
  cli: ['api', 'redis', 'scaling', 'consumer', 'client', 'operator', 'local'],
}

/** The floors of redis/, lowest first: each imports only from floors below it, and from its own folder. */
const redisFloors: readonly (readonly string[])[] = [
  ['keys.ts', 'record.ts', 'reply'],
  ['payload', 'placement.ts'],
  ['connect', 'dispatchconfig.ts'],
  ['scripts'],
  ['stream', 'bullmq', 'preflight'],
  ['settle', 'deadletters', 'status'],
]

const longest = 400

const list = (...args: string[]): string[] =>
  execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard', ...args], {
    cwd: projectRoot,
    encoding: 'utf8',
  })
    .split('\0')
    .filter((path) => path !== '')

const read = (path: string): string => readFileSync(posix.join(projectRoot, path), 'utf8')

const sources = list('*.ts')
const folderOf = (path: string): string => path.split('/')[0] ?? ''

test('folders import only what stands below them', () => {
  assert.deepEqual(Object.keys(mayImport).toSorted(), [...productFolders].toSorted(), 'docs/architecture.md draws each of them')
  const wrong = sources.flatMap((path) => {
    const allowed = mayImport[folderOf(path)]
    if (!allowed) return []
    return importsOf(path)
      .filter((target) => folderOf(target) !== folderOf(path) && !allowed.includes(folderOf(target)))
      .map((target) => `${path} imports ${target}`)
  })
  assert.deepEqual(wrong, [])
})

test('redis/ imports only what stands on a lower floor', () => {
  const roomOf = (path: string) => path.split('/')[1] ?? ''
  const floorOf = (path: string) => redisFloors.findIndex((floor) => floor.includes(roomOf(path)))
  const inside = sources.filter((path) => folderOf(path) === 'redis')
  assert.deepEqual(
    inside.filter((path) => floorOf(path) === -1),
    [],
    'each has a floor',
  )
  const wrong = inside.flatMap((path) =>
    importsOf(path)
      .filter((target) => folderOf(target) === 'redis' && roomOf(target) !== roomOf(path) && floorOf(target) >= floorOf(path))
      .map((target) => `${path} imports ${target}`),
  )
  assert.deepEqual(wrong, [])
})

for (const folder of ['consumer', 'operator', 'redis', 'scaling']) {
  test(`the parts of ${folder}/ import one another in one direction`, () => assert.doesNotThrow(() => floorsOf(roomsOf(folder))))
}

/** Entries of the package, and modules that build/slim.ts writes as text. */
const usedOutside = ['api/index.ts', 'client/index.ts', 'client/testing/index.ts', 'build/slim.ts']

test('each export is imported by some file', () => {
  const exporting = sources.filter(
    (path) => folderOf(path) !== 'test' && !path.includes('generated') && !usedOutside.includes(path),
  )
  assert.deepEqual(unusedExports(exporting, sources), [])
})

test('a test mirrors a source, or stands in scenarios/ or support/', () => {
  const beside = ['scenarios', 'support']
  const lost = sources
    .filter((path) => path.startsWith('test/') && path.endsWith('.test.ts') && path !== 'test/architecture.test.ts')
    .filter((path) => !beside.includes(path.split('/')[1] ?? ''))
    .map((path) => path.slice('test/'.length).replace('.test.ts', '.ts'))
    .filter((source) => !sources.includes(source))
  assert.deepEqual(lost, [])
})

test('scaling/ talks to no Redis', () => {
  const connected = sources
    .filter((path) => folderOf(path) === 'scaling')
    .flatMap((path) => importsOf(path).map((target) => `${path} imports ${target}`))
    .filter((line) => /imports redis\/(?:connect|scripts\/generated)/.test(line))
  assert.deepEqual(connected, [])
})

test('Lua stands in .lua files', () => {
  const holds = sources.filter(
    (path) =>
      mayImport[folderOf(path)] !== undefined &&
      !path.includes('generated') &&
      /\bredis\.p?call\('[A-Z]|\bKEYS\[\d/.test(read(path)),
  )
  assert.deepEqual(holds, [])
})

/** Imports of types count: a reader of one file of a circle must read them all. The linter looks at imports of values only. */
test('no files import one another in a circle', () => {
  const known = new Set(sources)
  const circles: string[] = []
  const finished = new Set<string>()
  const visit = (path: string, way: readonly string[]): void => {
    const begin = way.indexOf(path)
    if (begin !== -1) circles.push([...way.slice(begin), path].join(' → '))
    if (begin !== -1 || finished.has(path)) return
    for (const target of importsOf(path)) if (known.has(target)) visit(target, [...way, path])
    finished.add(path)
  }
  for (const path of sources) visit(path, [])
  assert.deepEqual(circles, [])
})

test(`no source file outside test/ is longer than ${longest} lines`, () => {
  const long = sources
    .filter((path) => folderOf(path) !== 'test' && !path.includes('generated'))
    .map((path) => ({ path, lines: read(path).split('\n').length - 1 }))
    .filter(({ lines }) => lines > longest)
    .map(({ path, lines }) => `${path} has ${lines} lines`)
  assert.deepEqual(long, [])
})

test('no file holds the address of a package host or a path of one machine', () => {
  const hosts = /https?:\/\/(?:registry|proxy|deb|static|index|files|repo\d?)\.[a-z]/i
  const paths = /(?:^|[^\w.}/])\/(?:home|root|Users|work|farm)\/[a-z.]/
  const found = list().flatMap((path) =>
    read(path)
      .split('\n')
      .flatMap((line, index) =>
        hosts.test(line) || paths.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 120)}`] : [],
      ),
  )
  assert.deepEqual(found, [])
})

const exact = /^\d+\.\d+\.\d+(-[\w.]+)?$/

test('dependencies have exact versions, and the lock file names no host', () => {
  const manifests = ['package.json', 'build/node/package.json'].map(
    (file) => JSON.parse(read(file)) as Record<string, Record<string, string> | undefined>,
  )
  const loose = ['devDependencies', 'optionalDependencies', 'overrides'].flatMap((group) =>
    manifests.flatMap((manifest) => Object.entries(manifest[group] ?? {})).filter(([, version]) => !exact.test(version)),
  )
  assert.deepEqual(loose, [['development-node', 'file:build/node']])
  // The application shares these packages with the library. Each has a range, in which the version lies that the tests run with.
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { version: string }> }
  for (const [name, range] of Object.entries({ ...manifests[0]?.['dependencies'], ...manifests[0]?.['peerDependencies'] })) {
    const locked = packages[`node_modules/${name}`]?.version ?? ''
    const majors = range.split(' || ').map((part) => /^\^(\d+)\.\d+\.\d+$/.exec(part)?.[1])
    assert.ok(majors.includes(locked.split('.')[0]), `${name} ${range} does not admit ${locked}`)
  }
  assert.doesNotMatch(read('package-lock.json'), /"resolved": "http/)
})

test('each package has a checksum, so has the Node that runs the sources, and no install script runs', () => {
  const { packages } = JSON.parse(read('package-lock.json')) as {
    packages: Record<string, { integrity?: string; link?: true; hasInstallScript?: true; version?: string }>
  }
  const others = Object.entries(packages).filter(([path, { link }]) => path.startsWith('node_modules/') && link === undefined)
  assert.deepEqual(
    others.filter(([, { integrity }]) => integrity?.startsWith('sha512-') !== true).map(([path]) => path),
    [],
  )
  const running = others.find(([path]) => path === `node_modules/node-${process.platform}-${process.arch}`)?.[1]
  if (process.platform === 'linux') assert.equal(running?.version, process.versions.node)
  const { allowScripts } = JSON.parse(read('package.json')) as { allowScripts: Record<string, boolean> }
  const scripted = others
    .filter(([, { hasInstallScript }]) => hasInstallScript)
    .map(([path]) => path.split('node_modules/').at(-1))
  assert.deepEqual(
    scripted.map((name) => [name, allowScripts[name ?? '']]),
    scripted.map((name) => [name, false]),
  )
})
