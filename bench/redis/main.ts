/**
 * `npm run bench -- redis`: a pipeline's cost in its Redis. It measures the memory of one mark and of all marks at once. For
 * batches of 100 and 1,000 entries of 1 KiB, on each path, it measures how long Redis is blocked.
 *
 *   npm run bench -- redis                      200,000 marks, three times; seven batches of each size and path
 *   npm run bench -- redis --quick              20,000 marks, three batches
 *   npm run --silent bench -- redis -o json     for programs: {"redis": {…}}
 *
 * The server is $REDIS_SERVER, or `redis-server`.
 */
import { parseArgs } from 'node:util'
import { pathKinds } from '../../test/paths/fixture.ts'
import { startRedis } from '../../test/support/redis.ts'
import { versionIn } from '../support/redisinfo.ts'
import { createScope } from '../support/scope.ts'
import { median } from '../support/statistics.ts'
import { type BatchCost, batchCosts } from './commands.ts'
import { bytesPerMark } from './marks.ts'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    output: { type: 'string', short: 'o', default: 'table' },
  },
})
const plan = options.quick ? { marks: 20_000, rounds: 3, batches: 3 } : { marks: 200_000, rounds: 3, batches: 7 }
const batchSizes = [100, 1_000]
/** The load for which the memory of the marks is stated, and the life of a mark. */
const stated = { perSecond: 1_200, hours: 24 }

const progress = (line: string) => console.error(line)
const rounded = (value: number, digits = 1) => Math.round(value * 10 ** digits) / 10 ** digits

async function markMemory() {
  const rounds: number[] = []
  for (let round = 1; round <= plan.rounds; round++) {
    const bytes = rounded(await bytesPerMark(plan.marks))
    rounds.push(bytes)
    progress(`marks round ${round}/${plan.rounds}: ${bytes} bytes each`)
  }
  const bytes = median(rounds)
  const gibibytes = rounded((bytes * stated.perSecond * stated.hours * 3_600) / 2 ** 30)
  return { marks: plan.marks, bytesPerMark: bytes, rounds, ...stated, gibibytes }
}

/** One line: all batches of a size, at one Redis, on one path. */
function summary(costs: readonly BatchCost[]) {
  const middle = (figure: (cost: BatchCost) => number, digits: number) => rounded(median(costs.map(figure)), digits)
  const longest = costs.map(({ longestMs }) => longestMs)
  return {
    path: costs[0]?.path,
    at: costs[0]?.at,
    batch: costs[0]?.batch,
    longestCommandMs: { median: rounded(median(longest), 2), greatest: rounded(Math.max(...longest), 2) },
    transactionMs: middle(({ transactionMs }) => transactionMs, 2),
    cpuMicrosecondsPerEntry: middle(({ cpuMicrosecondsPerEntry }) => cpuMicrosecondsPerEntry, 1),
  }
}

async function commandCosts() {
  const lines: ReturnType<typeof summary>[] = []
  for (const kind of pathKinds) {
    const costs = await batchCosts(kind, batchSizes, plan.batches)
    for (const group of Map.groupBy(costs, ({ at, batch }) => `${at} ${batch}`).values()) lines.push(summary(group))
    progress(`${kind}: ${plan.batches} batches of each size`)
  }
  return lines
}

async function serverVersion(): Promise<string> {
  const scope = createScope()
  try {
    return versionIn(await (await startRedis(scope)).client().info('server'))
  } finally {
    await scope.close()
  }
}

type Commands = Awaited<ReturnType<typeof commandCosts>>

function table(marks: Awaited<ReturnType<typeof markMemory>>, commands: Commands, version: string): string {
  const shown = (value: number) => (Number.isNaN(value) ? 'unknown' : value === 0 ? '-' : String(value))
  return [
    `a mark takes ${marks.bytesPerMark} bytes (${marks.marks} marks; rounds ${marks.rounds.join(' ')})`,
    `at ${marks.perSecond}/s for ${marks.hours} h that is ${marks.gibibytes} GiB`,
    '',
    'path     redis   batch   longest command, ms   greatest   transaction, ms   CPU per entry, µs',
    ...commands.map(({ path = '', at = '', batch, longestCommandMs, transactionMs, cpuMicrosecondsPerEntry }) =>
      [
        path.padEnd(8),
        at.padEnd(7),
        String(batch).padStart(5),
        shown(longestCommandMs.median).padStart(21),
        shown(longestCommandMs.greatest).padStart(10),
        shown(transactionMs).padStart(17),
        shown(cpuMicrosecondsPerEntry).padStart(19),
      ].join(' '),
    ),
    `medians of ${plan.batches} batches; greatest: the worst of them; Redis ${version}, Node ${process.version}`,
  ].join('\n')
}

const version = await serverVersion()
const marks = await markMemory()
const commands = await commandCosts()
console.log(
  options.output === 'json'
    ? JSON.stringify({ redis: { marks, batches: plan.batches, commands, version, node: process.version } }, undefined, 2)
    : table(marks, commands, version),
)
