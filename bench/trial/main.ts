/**
 * `npm run trial`: random kills under load; with other flags, other trials.
 *
 *   npm run trial                            30 minutes
 *   npm run trial -- --for 2h --seed 7       longer; --quick: one minute
 *   npm run trial -- --path Split            the queue in another Redis, which is killed as well
 *   npm run trial -- --path Portable         a BullMQ whose scripts are not known
 *   npm run trial -- --boundaries            a kill at every command boundary of a consumer's run
 *   npm run trial -- --boundaries --own-options   the same with entries that carry options of their own
 *   npm run trial -- --flips 1000            the mode flipped so often, while producers of both modes dispatch
 *   npm run trial -- --scale-downs 1000      going up and down under load; --processes: consumers as processes of their own
 *   npm run trial -- --wakes 200             how long sleeping pipelines take to wake, with 200 more asleep
 *   npm run trial -- --watch-faults 1000     so many runs of the operator's watches behind a misbehaving proxy
 *   npm run trial -- --replacements 10000    so many consumers vanish under an operator: no name may stay
 *   npm run trial -- --statuses 10000        so many random histories of a pipeline: no status may be false
 *   npm run trial -- --up 100                so many runs of `up`, each ended at random by signals, or with its Redis killed
 *   npm run trial -- --clock-changes         schedules around each change of clocks, in all zones, over twenty years
 *   npm run trial -- --refusals              each call of each script refused; only some with --share 0.02, --path Split, --only replay;
 *                                          --add BullMQ: with jobs added by BullMQ's own text
 *   npm run trial -- --hostile --seconds 600 hostile servers, specs and keys: many in process, and a tenant against its neighbours
 *   npm run --silent trial -- -o json        for programs
 *
 * Exit code 0 when nothing was lost or doubled, else 1.
 */
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { parseDuration } from '../../api/duration.ts'
import type { AddWay } from '../../redis/bullmq/specialisedadd.ts'
import type { PathKind } from '../../redis/settle/path.ts'
import { pathKinds } from '../../test/scenarios/crash/assemble.ts'
import { createScope } from '../support/scope.ts'
import { tryBoundaries } from './boundaries.ts'
import { tryClockChanges } from './clockchanges.ts'
import { tryFlips } from './flips.ts'
import { tryHostile } from './hostile.ts'
import { tryRefusals } from './refusals.ts'
import { tryManyReplacements } from './replacements.ts'
import { runScaleDowns } from './scaledowns.ts'
import { tryStatuses } from './statuses.ts'
import { runTrial } from './trial.ts'
import { tryUps } from './ups.ts'
import { runWakes } from './wake.ts'
import { tryWatches } from './watches.ts'

const { values: options } = parseArgs({
  options: {
    for: { type: 'string', default: '30m' },
    quick: { type: 'boolean', default: false },
    boundaries: { type: 'boolean', default: false },
    'own-options': { type: 'boolean', default: false },
    flips: { type: 'string' },
    refusals: { type: 'boolean', default: false },
    'clock-changes': { type: 'boolean', default: false },
    hostile: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '600' },
    share: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    add: { type: 'string', default: 'Specialised' },
    wakes: { type: 'string' },
    'scale-downs': { type: 'string' },
    processes: { type: 'boolean', default: false },
    'watch-faults': { type: 'string' },
    replacements: { type: 'string' },
    statuses: { type: 'string' },
    up: { type: 'string' },
    path: { type: 'string' },
    seed: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'table' },
  },
})
const forMs = parseDuration(options.quick ? '45s' : options.for)
const path = options.path ?? 'Atomic'
if (forMs === undefined) throw new Error(`--for ${options.for} is not a duration such as 90s, 30m or 2h`)
const known = pathOf(path)
const share = Number(options.share)
if (!(share > 0 && share <= 1)) throw new Error(`--share ${options.share} is not a number above 0, up to 1`)
/** A number of attempts, at least 1: a trial of nothing would succeed. */
function times(
  option: 'flips' | 'wakes' | 'scale-downs' | 'watch-faults' | 'replacements' | 'statuses' | 'up',
): number | undefined {
  const text = options[option]
  if (text === undefined) return undefined
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${option} ${text} is not a number from 1 on`)
  return Number(text)
}
function addOf(text: string): AddWay {
  if (text !== 'Specialised' && text !== 'BullMQ') throw new Error(`--add ${text} is neither Specialised nor BullMQ`)
  return text
}
function seconds(): number {
  if (!/^[1-9]\d*$/.test(options.seconds)) throw new Error(`--seconds ${options.seconds} is not a number from 1 on`)
  return Number(options.seconds)
}
const [wakes, scaleDowns] = [times('wakes'), times('scale-downs')]
const [watchFaults, replacements, ups] = [times('watch-faults'), times('replacements'), times('up')]
const [statuses, flips] = [times('statuses'), times('flips')]
if (options.seed !== undefined && !/^\d+$/.test(options.seed)) throw new Error(`--seed ${options.seed} is not a whole number`)
const seed = options.seed === undefined ? randomInt(2 ** 31) : Number(options.seed)
const progress = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`)

const scope = createScope()

async function chosen(): Promise<{ readonly ok: boolean }> {
  const paths = options.path === undefined ? pathKinds : [known]
  if (options.boundaries) return await tryBoundaries(scope, progress, paths, options['own-options'])
  if (options.refusals) {
    return await tryRefusals(scope, { seed, share, paths, only: options.only, add: addOf(options.add) }, progress)
  }
  if (options['clock-changes']) return await tryClockChanges(seed, progress)
  if (options.hostile) return await tryHostile(scope, { seconds: seconds(), seed, progress })
  if (flips !== undefined) return await tryFlips(scope, { flips, seed, progress })
  if (wakes !== undefined) return await runWakes(scope, { asleep: 200, wakes, together: 50, seed, progress })
  if (watchFaults !== undefined) return await tryWatches(scope, { runs: watchFaults, seed, progress })
  if (replacements !== undefined) return await tryManyReplacements(scope, replacements, progress)
  if (statuses !== undefined) return await tryStatuses({ histories: statuses, seed, progress })
  if (ups !== undefined) return await tryUps(scope, { runs: ups, seed, lanes: 2, progress })
  if (scaleDowns !== undefined) {
    const { processes } = options
    return await runScaleDowns(scope, {
      scaleDowns,
      pipelines: processes ? 1 : 4,
      processes,
      seed,
      progress,
    })
  }
  const plan = { forMs: forMs ?? 0, pauseMs: [200, 1_800], frozenMs: [3_000, 17_000], redisDownMs: [50, 1_500] } as const
  return await runTrial(scope, { plan, path: known, seed, perSecond: 300, consumers: 3, progress })
}

try {
  const result = await chosen()
  if (options.output === 'json') console.log(JSON.stringify(result, undefined, 2))
  else for (const [name, value] of Object.entries(result)) if (!Array.isArray(value)) console.log(name.padEnd(28), shown(value))
  process.exitCode = result.ok ? 0 : 1
} finally {
  await scope.close()
}

function pathOf(text: string): PathKind {
  const known = pathKinds.find((kind) => kind === text)
  if (known === undefined) throw new Error(`--path ${text} is not one of ${pathKinds.join(', ')}`)
  return known
}

function shown(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  return Object.entries(value)
    .map(([name, count]) => `${name} ${String(count)}`)
    .join(', ')
}
