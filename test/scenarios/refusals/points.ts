/** Every point: each call of each script of each scenario, on each path, refused in each way. */

import { randomFrom } from '../../../local/demo/load.ts'
import type { AddWay } from '../../../redis/bullmq/specialisedadd.ts'
import type { PathKind } from '../../../redis/settle/path.ts'
import type { PathChanges } from '../../paths/fixture.ts'
import type { Scope } from '../../support/scope.ts'
import { attempt, type Ended, type Point, type Reference, refer } from './attempt.ts'
import { openRig, type World } from './rig.ts'
import { scenarios } from './scenarios/all.ts'
import type { Scenario, Variant } from './scene.ts'
import type { Problem } from './verdict.ts'

export interface PointTried {
  /** `Atomic settle a batch (delayed)`. */
  readonly scene: string
  /** `NOPERM at settleAtomically, call 17 (BullMQ's), ZADD marker`. */
  readonly point: string
  readonly script: string
  readonly problems: readonly Problem[]
  readonly events: readonly string[]
}

export interface Selection {
  readonly seed: number
  /** Of all points, between 0 and 1. */
  readonly share: number
  readonly paths: readonly PathKind[]
  /** Only scenarios whose name holds this. */
  readonly only?: string
  /** How jobs are added where BullMQ's scripts are composed; specialised by default. */
  readonly add?: AddWay
}

const variants: readonly (readonly [Variant, NonNullable<PathChanges['jobOptions']>])[] = [
  ['plain', {}],
  ['delayed', { delay: 3_600_000 }],
  ['prioritised', { priority: 7 }],
  ['lifo', { lifo: true }],
  ['refused', { priority: 7 }],
]

/** Options that BullMQ refuses. They are set once the path is open, since its self-test adds a job with the same options. */
const refusedPriority = 2_097_153

/** Tries the points that the seed chooses. */
export async function tryPoints(
  scope: Scope,
  { seed, share, paths, only = '', add = 'Specialised' }: Selection,
  tried: (point: PointTried) => void,
): Promise<void> {
  const random = randomFrom(seed)
  const rig = await openRig(scope)
  for (const kind of paths) {
    for (const [variant, jobOptions] of variants) {
      const chosen = scenarios.filter((scenario) => fits(scenario, kind, variant) && scenario.name.includes(only))
      if (chosen.length === 0) continue
      const world = await rig.open(scope, kind, {
        add,
        jobOptions: { ...jobOptions, removeOnFail: false },
        payload: { schema: { type: 'object', properties: { k: { type: 'string' } }, required: ['k'] } },
      })
      if (variant === 'refused') Object.assign(world.path.pipeline.sink.jobOptions, { priority: refusedPriority })
      const problems = world.opening.map((text): Problem => ({ kind: 'right', text: `the documented rights lack ${text}` }))
      tried({ scene: `${kind} opened with ${variant} jobs`, point: 'nothing refused', script: '', problems, events: [] })
      for (const scenario of chosen) {
        const scene = `${kind} ${scenario.name}${variant === 'plain' ? '' : ` (${variant})`}`
        await tryScene(world, scenario, scene, () => random() < share, tried)
      }
    }
  }
}

const fits = ({ paths, variants: tried = ['plain'] }: Scenario, kind: PathKind, variant: Variant) =>
  (paths?.includes(kind) ?? true) && tried.includes(variant)

async function tryScene(
  world: World,
  scenario: Scenario,
  scene: string,
  chosen: () => boolean,
  tried: (point: PointTried) => void,
): Promise<void> {
  const { grants = [] } = scenario
  await world.grant(grants)
  let reference = await refer(world, scenario)
  tried({ scene, point: 'nothing refused', script: '', problems: reference.problems, events: [] })
  const lacking = reference.problems.flatMap(({ text }) => /lack command (\S+)$/.exec(text)?.[1] ?? [])
  if (lacking.length > 0) {
    await world.grant([...grants, ...lacking.map((command) => `+${command}`)])
    reference = await refer(world, scenario)
    tried({
      scene,
      point: `nothing refused, ${lacking.join(' and ')} granted`,
      script: '',
      problems: reference.problems,
      events: [],
    })
  }
  for (const point of pointsOf(reference, scenario)) {
    if (!chosen()) continue
    const ended = await attempt(world, scenario, reference, point).catch((thrown: unknown): Ended => {
      const text = `the trial itself fails: ${thrown instanceof Error ? thrown.stack : String(thrown)}`
      return { problems: [{ kind: 'other', text }], events: [] }
    })
    await world.lift()
    tried({ scene, point: nameOf(point), script: point.script, ...ended })
  }
}

function* pointsOf({ calls }: Reference, { served = false }: Scenario): Generator<Point> {
  for (const turn of served ? [false, true] : [false]) {
    const taken = new Set<string>()
    for (const call of calls) {
      const right = rightTo(call.command)
      if (!taken.has(`${call.script} ${right}`)) yield { ...call, kind: 'RIGHT', call: 0, place: 'ours', right, served: turn }
      taken.add(`${call.script} ${right}`)
      if (call.call === 1) {
        for (const kind of ['OOM', 'READONLY'] as const) yield { ...call, kind, call: 0, place: 'ours', served: turn }
      }
      for (const kind of ['NOPERM', 'WRONGTYPE'] as const) yield { ...call, kind, served: turn }
    }
  }
}

/** As ACL rules name it. */
function rightTo(command: string): string {
  const [verb = '', object = ''] = command.toLowerCase().split(' ')
  return /^x(?:group|info)$/.test(verb) ? `${verb}|${object}` : verb
}

function nameOf({ kind, script, run, call, place, command, served, right }: Point): string {
  const where =
    right !== undefined
      ? `no ${right} from its start`
      : call === 0
        ? 'from its start'
        : `call ${call}${place === 'bull' ? ' (BullMQ’s)' : ''}, ${command}`
  return `${kind} at ${script}${run === 1 ? '' : `, run ${run}`}, ${where}${served ? '; others have a turn' : ''}`
}
