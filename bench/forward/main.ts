/**
 * `npm run bench`: forwarding by the consumer, with every guarantee on, beside other ways from a request to a BullMQ job. All take the same
 * payloads into the same Redis, each in a process of its own, alternating, on loopback and over a round trip of 2 ms. Then the latency beside
 * a control, the cost of `dispatch` beside a bare XADD, and the library's import and size.
 *
 *   npm run bench                          all contenders, three payloads, curves; within an hour
 *   npm run bench -- --quick               the figures that have bars; 1 KiB; within three minutes
 *   npm run bench -- --page                the full form, and docs/performance.md written from it
 *   npm run --silent bench -- -o json      for programs
 *   --scale 0.1 --rounds 1                 a try of the bench itself: less work, 1 KiB only, and nothing is judged
 *   --compare                              exit code 1 where a ratio fell since docs/performance/run.json (comparison.ts)
 *   --consumer-flags '--max-old-space-size=64'   V8 flags of the consumer; default: the image's
 *   --consumer-env 'MALLOC_ARENA_MAX=1 A=b'      its environment; default: the image's
 *
 * A missed bar is printed and changes no exit code: it is a figure. On a machine that is not quiet nothing is judged.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { startRedis } from '../../test/support/redis.ts'
import { projectRoot } from '../../test/support/root.ts'
import { readRun, writePage, writeRun } from '../page/files.ts'
import { createScope } from '../support/scope.ts'
import { bundleConsumer } from './bundle.ts'
import { compare, comparisonText } from './comparison.ts'
import { consumerOptions, consumerSettings } from './consumersettings.ts'
import { fullPlan, quickPlan, reduced } from './plan.ts'
import { report } from './report.ts'
import { runPlan } from './run.ts'
import { table } from './table.ts'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
    compare: { type: 'boolean', default: false },
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'table' },
    ...consumerOptions,
  },
})
if (options.page && options.quick) throw new Error('--page needs the full form: leave --quick out')
const rounds = options.rounds === undefined ? undefined : Number(options.rounds)
const plan = reduced(options.quick ? quickPlan : fullPlan, { scale: Number(options.scale), rounds })
const progress = (line: string) => console.error(line)

/** With a committed run that was not judged there is nothing to compare, and nothing to measure for it. */
const committed = options.compare ? readRun() : undefined
if (committed?.judged === false) {
  progress(comparisonText({ kind: 'NotJudged', reason: `the committed run was not judged: ${committed.reason ?? ''}` }))
  process.exit()
}

const scope = createScope()
try {
  // The library is measured as an application gets it.
  await promisify(execFile)(process.execPath, [join(projectRoot, 'build', 'compile.ts')])
  const given = {
    server: await startRedis(scope),
    program: await bundleConsumer(scope),
    ...consumerSettings(options),
  }
  const result = report(await runPlan(scope, plan, given, progress))
  console.log(options.output === 'json' ? JSON.stringify(result, undefined, 2) : table(result))
  if (committed !== undefined) {
    const comparison = compare(result, committed)
    progress(comparisonText(comparison))
    if (comparison.kind === 'Compared' && comparison.fallen.length > 0) process.exitCode = 1
  }
  if (options.page) {
    writeRun(result)
    writePage(result)
  }
} finally {
  await scope.close()
}
