/**
 * `npm run bench -- consumer`: the consumer's cost of an entry of 1 KiB, with program and settings of its image. At full speed it
 * is the CPU time of the process. Under an even load it is the time from entry to job, and V8's collections, which cause most of
 * its tail.
 *
 *   npm run bench -- consumer                       five rounds
 *   npm run bench -- consumer --quick               three short rounds
 *   npm run bench -- consumer --per-second 8000     another even load; default 4,000
 *   npm run --silent bench -- consumer -o json      for programs: {"consumer": {…}}
 *   --consumer-flags, --consumer-env                as `npm run bench` takes them
 */
import { parseArgs } from 'node:util'
import { startRedis } from '../../test/support/redis.ts'
import type { Bench } from '../forward/bench.ts'
import { bundleConsumer } from '../forward/bundle.ts'
import { consumerOptions, consumerSettings } from '../forward/consumersettings.ts'
import { runPaced } from '../forward/latency.ts'
import { createScope } from '../support/scope.ts'
import { median } from '../support/statistics.ts'
import { consumerCpuPerEntry } from './cpu.ts'
import { collections, gcTraceFlags } from './gctrace.ts'

const { values: options } = parseArgs({
  options: {
    'per-second': { type: 'string', default: '4000' },
    quick: { type: 'boolean', default: false },
    output: { type: 'string', short: 'o', default: 'table' },
    ...consumerOptions,
  },
})
const plan = options.quick ? { rounds: 3, entries: 40_000, pacedMs: 3_000 } : { rounds: 5, entries: 100_000, pacedMs: 8_000 }
const perSecond = Number(options['per-second'])
const settings = consumerSettings(options)

interface Round {
  readonly cpuMicrosecondsPerEntry: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly scavenges: number
  readonly markCompacts: number
  readonly medianScavengeMs: number
  readonly longestPauseMs: number
  readonly promotedBytesPerEntry: number
}

/** The figures, in the order of the table. */
const labels: Readonly<Record<keyof Round, string>> = {
  cpuMicrosecondsPerEntry: 'CPU per entry at full speed, µs',
  p50Ms: 'p50 entry to job, ms',
  p99Ms: 'p99 entry to job, ms',
  scavenges: 'scavenges',
  markCompacts: 'mark-compacts',
  medianScavengeMs: 'median scavenge, ms',
  longestPauseMs: 'longest pause of a collection, ms',
  promotedBytesPerEntry: 'bytes promoted per entry',
}
const figures = Object.keys(labels) as (keyof Round)[]

async function measureRound(bench: Bench): Promise<Round> {
  const cpuMicrosecondsPerEntry = await consumerCpuPerEntry(bench, '1KiB', plan.entries)
  const traced = { ...bench, consumerFlags: [...bench.consumerFlags, ...gcTraceFlags] }
  const { delays, output, measured } = await runPaced(traced, { payload: '1KiB', perSecond, forMs: plan.pacedMs })
  const { scavenges, markCompacts, promotedBytes, pausesMs } = collections(output, measured)
  return {
    cpuMicrosecondsPerEntry,
    p50Ms: delays.p50Ms,
    p99Ms: delays.p99Ms,
    scavenges,
    markCompacts,
    medianScavengeMs: median(pausesMs.scavenges),
    longestPauseMs: Math.max(0, ...pausesMs.scavenges, ...pausesMs.markCompacts),
    promotedBytesPerEntry: promotedBytes / delays.entries,
  }
}

const rounded = (value: number) => Math.round(value * 10) / 10

const scope = createScope()
try {
  const server = await startRedis(scope)
  const bench: Bench = { server, ...settings, program: await bundleConsumer(scope) }
  const rounds: Round[] = []
  for (let round = 1; round <= plan.rounds; round++) {
    const found = await measureRound(bench)
    rounds.push(found)
    console.error(`round ${round}/${plan.rounds}: ${rounded(found.cpuMicrosecondsPerEntry)} µs, p99 ${found.p99Ms} ms`)
  }
  const columns = figures.map((figure) => {
    const each = rounds.map((round) => rounded(round[figure]))
    return { figure, median: rounded(median(rounds.map((round) => round[figure]))), rounds: each }
  })
  const pacedSeconds = plan.pacedMs / 1_000
  if (options.output === 'json') {
    const byFigure = Object.fromEntries(columns.map(({ figure, ...found }) => [figure, found]))
    const consumer = { perSecond, pacedSeconds, ...byFigure, ...settings, node: process.version }
    console.log(JSON.stringify({ consumer }, undefined, 2))
  } else {
    console.log(`entries of 1 KiB; all but the first line under ${perSecond}/s for ${pacedSeconds} s`)
    console.log(`${''.padEnd(36)}   median   rounds`)
    for (const { figure, median: middle, rounds: each } of columns)
      console.log(`${labels[figure].padEnd(36)} ${String(middle).padStart(8)}   ${each.join(' ')}`)
    console.log(`consumer: Node ${process.version} ${settings.consumerFlags.join(' ')}`)
  }
} finally {
  await scope.close()
}
