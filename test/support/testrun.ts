/**
 * Runs test files with node:test, each in its own process. The closing counts are returned, so that the caller can print them
 * last.
 */
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { Transform } from 'node:stream'
import { finished } from 'node:stream/promises'
import { run } from 'node:test'
import { spec, type TestEvent } from 'node:test/reporters'
import { projectRoot } from './root.ts'

export interface TestReport {
  readonly success: boolean
  readonly failed: readonly string[]
  readonly skipped: readonly { reason: string; names: string[] }[]
  /** The files that took longest, the longest first. */
  readonly slowest: readonly { readonly file: string; readonly seconds: number }[]
  /** `tests 12`, `pass 11` and so on, as the runner words them. */
  readonly closing: readonly string[]
}

/** So many of the slowest files are listed. */
const slowestListed = 12

/** A file that takes longer hangs. It is killed, with all processes that it started. */
const fileTimeoutMs = 420_000

const closingLine = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/

/** Prints as it goes. `files` are relative to the project, and so is the file that has ended. */
export const runTests = async (
  files: readonly string[],
  namePatterns: readonly string[],
  onEnded: (file: string) => void = () => undefined,
): Promise<TestReport> => {
  const closing: string[] = []
  const failed: string[] = []
  const skipped = new Map<string, string[]>()
  const durations: { file: string; seconds: number }[] = []
  let success = true
  const collect = (event: TestEvent): boolean => {
    switch (event.type) {
      case 'test:pass':
        if (typeof event.data.skip === 'string' && event.data.skip !== '') {
          skipped.set(event.data.skip, [...(skipped.get(event.data.skip) ?? []), event.data.name])
        }
        return true
      case 'test:fail':
        // A promise that is not kept yet is a `todo`: it is printed, and fails nothing.
        if (event.data.details.type !== 'suite' && event.data.todo === undefined)
          failed.push(`${relative(projectRoot, event.data.file ?? '')}: ${event.data.name}`)
        return true
      case 'test:diagnostic':
        if (event.data.file !== undefined || !closingLine.test(event.data.message)) return true
        closing.push(event.data.message)
        return false
      case 'test:summary':
        success &&= event.data.success
        if (event.data.file !== undefined) {
          const file = relative(projectRoot, event.data.file)
          durations.push({ file, seconds: event.data.duration_ms / 1_000 })
          onEnded(file)
        }
        return true
      default:
        return true
    }
  }
  const events = run({
    files: files.map((file) => resolve(projectRoot, file)),
    cwd: projectRoot,
    // Three more than there are cores: many tests wait, for a lease, a lock or a server.
    concurrency: Math.max(2, availableParallelism()) + 3,
    timeout: fileTimeoutMs,
    // A file's start makes much that lives for a moment. With V8's first semi-space of 1 MiB a tenth of its time is collections.
    execArgv: ['--min-semi-space-size=16', '--import', join(projectRoot, 'test', 'support', 'dependencyhooks.ts')],
    ...(namePatterns.length > 0 ? { testNamePatterns: [...namePatterns] } : {}),
  })
  const kept = new Transform({
    objectMode: true,
    transform: (event: TestEvent, _encoding, done) => done(null, ...(collect(event) ? [event] : [])),
  })
  const printed = events.pipe(kept).pipe(new spec())
  printed.pipe(process.stdout, { end: false })
  await finished(printed)
  return {
    success,
    failed,
    skipped: [...skipped].map(([reason, names]) => ({ reason, names })),
    slowest: durations.toSorted((a, b) => b.seconds - a.seconds).slice(0, slowestListed),
    closing,
  }
}
