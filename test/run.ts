/**
 * `npm test`: what a change of the code needs. Each step has a heading. A failed step does not stop later ones; the exit code is then 1.
 * The tests come last, and their counts are the last lines of the output.
 *
 *   npm test                          types, lint, generated files, and all tests but those of a release
 *   npm run test:all                  those of a release, too: the package, installed on each Node, equal bytes of two builds, the images
 *   npm test -- test/consumer         only these tests (files or folders)
 *   npm test -- --name 'a | pattern'  only tests of such names
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, globSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { endProcesses, markedProcesses } from './support/descendants.ts'
import { importersOf } from './support/imports.ts'
import { provideAssets } from './support/kubebuild.ts'
import { sharedVariable } from './support/madeonce.ts'
import { projectRoot } from './support/root.ts'
import { seed } from './support/seed.ts'
import { runTests, type TestReport } from './support/testrun.ts'
import { eventually } from './support/wait.ts'

interface Outcome {
  /** A line; undefined: none. */
  readonly failure: string | undefined
  /** Printed once the step has ended. A step of minutes prints as it goes. */
  readonly output?: string
}

interface Step {
  readonly name: string
  run(): Promise<Outcome>
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const variable = 'STREAMPIPELINE_TEST_RUN'
const mark = randomUUID()
const packed = 'package'
const dependencies = 'dependencies'
const servers = 'servers'
const shared = 'shared'

const { values: options, positionals: paths } = parseArgs({
  allowPositionals: true,
  options: { name: { type: 'string', multiple: true }, all: { type: 'boolean' } },
})

/** A program that prints its findings, and fails by its exit code. */
const command = (name: string, args: readonly string[]): Step => ({
  name,
  run: () =>
    new Promise((settle) => {
      const child = spawn(args[0] ?? '', args.slice(1), { cwd: projectRoot, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
        })
      child.once('error', (error) => settle({ failure: error.message, output }))
      child.once('close', (code, signal) => settle({ failure: code === 0 ? undefined : `ended with ${code ?? signal}`, output }))
    }),
})

/** Small files that wait for minutes; the list of slowest files shows them. */
const patientFiles = new Set(
  ['topology/replication', 'consumer/backenddown', 'paths/capture', 'consumer/lackingservers', 'operator/scopes'].map(
    (name) => `test/scenarios/${name}.test.ts`,
  ),
)

/** They install packages, build releases twice, and run other releases of Node. CI runs them for every change. */
const releaseFolders = ['test/scenarios/package/', 'test/scenarios/image/']
const ofRelease = (file: string): boolean => releaseFolders.some((folder) => file.startsWith(folder))

const selected = (): string[] => {
  const all = globSync('test/**/*.test.ts', { cwd: projectRoot, exclude: ['test/scenarios/package/fixture/**'] }).sort()
  const wanted = paths.map((path) => relative(projectRoot, resolve(path)))
  for (const path of wanted) if (!existsSync(join(projectRoot, path))) throw new Error(`no such file or folder: ${path}`)
  const chosen = all.filter((file) =>
    wanted.length === 0
      ? options.all === true || !ofRelease(file)
      : wanted.some((path) => file === path || file.startsWith(`${path}/`)),
  )
  if (chosen.length === 0) throw new Error(`no test files in ${wanted.join(', ')}`)
  // The long ones first, so that none is left to run alone at the end: those with an API server, then by size.
  const weight = (file: string): number =>
    statSync(join(projectRoot, file)).size +
    (readFileSync(join(projectRoot, file), 'utf8').includes('apiserver.ts') ? 1e6 : 0) +
    (patientFiles.has(file) ? 2e6 : 0)
  return chosen.sort((a, b) => weight(b) - weight(a))
}

const imports = (helper: string) => (files: readonly string[]) =>
  importersOf(
    join(projectRoot, 'test', 'support', helper),
    files.map((file) => join(projectRoot, file)),
  ).length > 0
const needsKubernetes = imports('assets.ts')
const startsPrograms = imports('process.ts')

async function kubernetes(): Promise<void> {
  const assets = await provideAssets(process.env, say)
  if (assets.kind === 'Found') {
    process.env.KUBEBUILDER_ASSETS = assets.folder
    say(`Kubernetes: ${assets.folder} (${assets.origin})`)
    await startServersOnce()
  } else {
    say(`NO KUBERNETES, ITS TESTS WILL BE SKIPPED: ${assets.reason}`)
  }
}

/** Few test files start more servers. */
const controlPlanes = 3
/** So many of them run on. Of the files that run at once, one or two start servers of their own. */
const lendable = 3

const borrowersIn = (files: readonly string[]): readonly string[] =>
  files.filter((file) => /\bborrow(?:ApiServer|Cluster)\b/.test(readFileSync(join(projectRoot, file), 'utf8')))

let endLent = async (): Promise<void> => undefined

/** A server that starts on a copy needs half the processor time of a first start, and one that is borrowed a twentieth. */
async function startServersOnce(): Promise<void> {
  const { shareServers } = await import('./support/sharedservers.ts')
  const lent = Math.min(lendable, borrowersIn(selected()).length)
  endLent = await shareServers(join(temporary, servers), { kept: controlPlanes, lent })
}

/**
 * Tests start the command line some four hundred times. As a bundle, as in the package and the images, it needs two thirds of the processor
 * time of a start from the sources. The tests' own processes get bundles of the dependencies with many modules.
 */
async function bundleOnce(): Promise<void> {
  const [{ bundleCommandLine }, { bundleDependencies }, { bundlesVariable }, { stop }] = await Promise.all([
    import('../build/package/bundles.ts'),
    import('./support/dependencybundles.ts'),
    import('./support/dependencyhooks.ts'),
    import('esbuild'),
  ])
  const folder = join(temporary, packed)
  try {
    if (startsPrograms(selected())) await bundleCommandLine(join(folder, 'dist'))
    process.env[bundlesVariable] = JSON.stringify(await bundleDependencies(join(temporary, dependencies)))
  } finally {
    await stop()
  }
  if (!startsPrograms(selected())) return
  for (const name of ['package.json', 'examples']) symlinkSync(join(projectRoot, name), join(folder, name))
  process.env.STREAMPIPELINE_COMMAND_LINE = join(folder, 'dist', 'cli', 'main.mjs')
}

let toolsAreThere = false
const tools: Step = {
  name: 'tools',
  run: async () => {
    if (needsKubernetes(selected())) await kubernetes()
    else say('Kubernetes: none of these tests needs it')
    // Imported here, so that a mistake in the product fails this step and not the runner.
    const { provideRedisServer, thisSystem } = await import('../local/redisinstall.ts')
    process.env.REDIS_SERVER ||= await provideRedisServer(thisSystem(say))
    say(`Redis: ${process.env.REDIS_SERVER}`)
    process.env.STREAMPIPELINE_SEED = String(seed)
    await bundleOnce()
    toolsAreThere = true
    say(`Seed: ${seed} (STREAMPIPELINE_SEED=${seed} npm test repeats this run's choices)`)
    return { failure: undefined }
  },
}

let report: TestReport | undefined
const tests: Step = {
  name: 'tests',
  run: async () => {
    if (!toolsAreThere) return { failure: 'not run, because of what the step "tools" lacks' }
    const borrowers = new Set(borrowersIn(selected()))
    report = await runTests(selected(), options.name ?? [], (file) => {
      // Idle servers need processor time, too. The next step awaits their end, and reports a failure of it.
      if (borrowers.delete(file) && borrowers.size === 0) endLent().catch(() => undefined)
    })
    return { failure: report.success ? undefined : `${report.failed.length} failed: ${report.failed.join('; ')}` }
  },
}

const nothingLeft: Step = {
  name: 'nothing left running',
  run: async () => {
    await endLent()
    const left = () => markedProcesses(variable, mark)
    await eventually(async () => (await left()).length === 0, { timeoutMs: 10_000 }).catch(() => undefined)
    const processes = await left()
    endProcesses(processes)
    // npm and the compiler let Node keep compiled code there.
    const files = readdirSync(temporary).filter(
      (file) => file !== 'node-compile-cache' && ![packed, dependencies, servers, shared].includes(file),
    )
    const problems = [
      ...processes.map(({ pid, command: line }) => `process ${pid} still ran: ${line}`),
      ...files.map((file) => `${file} was left in the temporary folder`),
    ]
    return { failure: problems.length === 0 ? undefined : problems.join('; ') }
  },
}

/** They need no tools, so they run beside that step. */
const checks: Step[] = [
  command('types', ['tsc', '--noEmit']),
  command('lint', ['biome', 'check', '--error-on-warnings', '.']),
  command('generated files in step', [process.execPath, 'build/generate.ts', '--check']),
]
const selection = paths.length > 0 || options.name !== undefined

process.env[variable] = mark
// A folder of this run's own, so that leftovers of a killed test file are deleted, too.
const temporary = mkdtempSync(join(tmpdir(), 'streampipeline-test-'))
process.env.TMPDIR = temporary
process.env[sharedVariable] = join(temporary, shared)
// Hundreds of processes read the same sources: without it, half of a large file's start is compilation.
process.env.NODE_COMPILE_CACHE = join(temporary, 'node-compile-cache')
// The compiler, esbuild, kubectl and helm are programs in Go that live for seconds. Without collections of garbage they need a quarter to a
// third less processor time. The limit makes them collect before they grow large.
process.env.GOGC ||= 'off'
process.env.GOMEMLIMIT ||= '2GiB'
process.once('exit', () => rmSync(temporary, { recursive: true, force: true }))
process.once('SIGINT', () => process.exit(130))
process.once('SIGTERM', () => process.exit(143))
// `node test/run.ts` alone does not have npm's PATH.
process.env.PATH = `${join(projectRoot, 'node_modules', '.bin')}${delimiter}${process.env.PATH ?? ''}`

const ownNode = /node\/v(\S+)/.exec(process.env.npm_config_user_agent ?? '')?.[1]
if (ownNode !== undefined && `v${ownNode}` !== process.version) {
  say(`Node ${process.version.slice(1)} of this project runs the tests, in place of this machine's ${ownNode}.`)
}

interface Ended extends Outcome {
  readonly name: string
  readonly seconds: string
}

async function timed({ name, run }: Step): Promise<Ended> {
  const startedAt = performance.now()
  const outcome = await run().catch((thrown: unknown) => ({ failure: thrown instanceof Error ? thrown.message : String(thrown) }))
  return { ...outcome, name, seconds: `${((performance.now() - startedAt) / 1000).toFixed(1)} s` }
}

const heading = (name: string): void => say(`\n── ${name} ${'─'.repeat(Math.max(3, 70 - name.length))}`)
const outcomes: Ended[] = []
function conclude(ended: Ended): void {
  process.stdout.write(ended.output ?? '')
  if (ended.failure !== undefined) say(`${ended.name}: ${ended.failure}`)
  outcomes.push(ended)
}

async function runChecks(): Promise<readonly Ended[]> {
  const ended: Ended[] = []
  for (const check of selection ? [] : checks) ended.push(await timed(check))
  return ended
}

const checked = runChecks()
heading(tools.name)
conclude(await timed(tools))
for (const ended of await checked) {
  heading(ended.name)
  conclude(ended)
}
for (const step of [tests, nothingLeft]) {
  heading(step.name)
  conclude(await timed(step))
}

say(`\n── summary ${'─'.repeat(63)}`)
for (const { reason, names } of report?.skipped ?? []) {
  say(`SKIPPED ${names.length}: ${reason}`)
  for (const name of names) say(`    ${name}`)
}
if (options.all !== true && paths.length === 0)
  say(`LEFT OUT: tests of a release, in ${releaseFolders.join(' and ')}: npm run test:all`)
if ((report?.slowest.length ?? 0) > 1) {
  say('The slowest files:')
  for (const { file, seconds } of report?.slowest ?? []) say(`    ${seconds.toFixed(1).padStart(6)} s  ${file}`)
}
for (const { name, seconds, failure } of outcomes) say(`${failure === undefined ? 'ok    ' : 'FAILED'} ${name} (${seconds})`)
// Beside the counts, since a long log is often read from its end alone.
for (const failed of report?.failed ?? []) say(`    failed: ${failed}`)
for (const line of report?.closing ?? ['tests 0', 'pass 0', 'fail 1', 'skipped 0']) say(`ℹ ${line}`)
process.exitCode = outcomes.some(({ failure }) => failure !== undefined) ? 1 : 0
