/**
 * One point. It lays the scenario, lets the operation run into the refusal, and may give the others their turn. The operation
 * then runs again without a refusal, the others do the rest, and the result is checked.
 */
import type { World } from './rig.ts'
import type { Play, Scenario } from './scene.ts'
import { differing, snapshotOf } from './snapshot.ts'
import { type Problem, problemsOf } from './verdict.ts'
import type { Aim } from './wire.ts'
import { consumeNew, consumePending, type Executed, expireLocks, work } from './worker.ts'

/** How a point ended. */
export interface Ended {
  readonly problems: readonly Problem[]
  /**
   * How BullMQ's event stream differs from that of a run without a refusal. That is no failure, since the stream is a history. No
   * command takes an announcement back. A missing one comes only if the job is added again.
   */
  readonly events: readonly string[]
}

export interface Point extends Aim {
  /** Worker and consumer have a turn between refusal and retry. */
  readonly served: boolean
  /** The call, and the owner of its text. */
  readonly place: 'ours' | 'bull'
  readonly command: string
}

/** The effects of a run without a refusal. */
export interface Reference {
  readonly calls: readonly Call[]
  readonly queue: ReadonlyMap<string, string>
  readonly problems: readonly Problem[]
}

interface Call {
  readonly script: string
  readonly run: number
  readonly call: number
  readonly place: 'ours' | 'bull'
  readonly command: string
}

export async function refer(world: World, scenario: Scenario): Promise<Reference> {
  await world.reset()
  const play = await scenario.lay(world)
  world.wire.arm('trace')
  // A failure here shows again below.
  await play.operate().catch(() => undefined)
  world.wire.disarm()
  const named = namesOf(world, play)
  const calls = (await world.denied()).ours.map((reported) => callOf(named(reported)))
  const { queue, problems } = await conclude(world, play, new Map())
  return { calls, queue, problems }
}

/** Replaces job ids and hashes by readable keys. */
function namesOf({ path }: World, { expected, keys = [] }: Play): (text: string) => string {
  const known = [...Object.keys(expected.jobs), ...keys].map((key) => [path.id(key), key] as const)
  const hashes = known.map(([id, key]) => [path.mark(key).split(':').at(-1) ?? id, key] as const)
  return (text) => [...known, ...hashes].reduce((reported, [id, key]) => reported.replaceAll(id, `<${key}>`), text)
}

function callOf(reported: string): Call {
  const [, script = '', run, call, place, command = '', key = ''] = reported.split('|')
  // The key's last part. A token has the time of the failure in its name, and a dead letter's key may have the id of its entry.
  const shown = (/:((?:mark:|lock:)?[\w<>-]+)$/.exec(key)?.[1] ?? key).replace(/\d{13}(?:-\d+)?/, 'TIME')
  return {
    script,
    run: Number(run),
    call: Number(call),
    place: place === 'bull' ? 'bull' : 'ours',
    command: `${command.trim()} ${shown}`,
  }
}

export async function attempt(world: World, scenario: Scenario, reference: Reference, point: Point): Promise<Ended> {
  await world.reset()
  const play = await scenario.lay(world)
  const named = namesOf(world, play)
  const executed: Executed = new Map()
  world.wire.arm(point)
  // The operation may fail or succeed: it reports some refusals in its answer, and can do without some calls.
  await play.operate().catch(() => undefined)
  world.wire.disarm()
  await world.lift()
  const missed = await missing(world, point, named)
  if (point.served) {
    await expireLocks(world)
    await work(world, executed, play.spared)
    await consumeNew(world)
    await work(world, executed, play.spared)
  }
  const { queue, problems } = await conclude(world, play, executed, point.right)
  const adds = point.place === 'bull' || (point.call > 0 && addingScripts.includes(point.script))
  const comparable = adds && !point.served
  const differences = comparable ? differing(queue, reference.queue) : []
  const reported = (ofEvents: boolean) =>
    differences.filter(({ key }) => (key === 'events') === ofEvents).map(({ text }) => named(text))
  return {
    problems: [...missed, ...problems, ...reported(false).map((text) => ({ kind: 'queue', text }) as const)],
    events: reported(true),
  }
}

/** Whether the refusal came, and at the call that was meant. A key of another type leaves no trace in the ACL log. */
async function missing(world: World, point: Point, named: (text: string) => string): Promise<readonly Problem[]> {
  if (!world.wire.met) return [{ kind: 'other', text: `${point.script} did not run` }]
  if (point.kind !== 'NOPERM') return []
  const refused = (await world.denied()).ours.map((reported) => callOf(named(reported)))
  const meant = refused.filter(({ call, command }) => call === point.call && command === point.command)
  if (refused.length === 1 && meant.length === 1) return []
  return [
    { kind: 'other', text: `it refused ${refused.map(({ call, command }) => `${call} ${command}`).join(', ') || 'nothing'}` },
  ]
}

/** Those that add jobs in other words than BullMQ's. */
const addingScripts = ['settleAtomically', 'forwardJobs']

/** How often an operation is run again before it counts as stuck. */
const patience = 3

async function conclude(world: World, play: Play, executed: Executed, taken?: string) {
  const stuck: Problem[] = []
  for (let tries = 1; tries <= patience; tries++) {
    try {
      await expireLocks(world)
      await play.operate()
      break
    } catch (thrown) {
      if (tries === patience) stuck.push({ kind: 'other', text: `run again, it fails: ${String(thrown)}` })
    }
  }
  const queue = await snapshotOf(world.path.queueClient, world.path.queueKey)
  try {
    await consumeNew(world)
    await consumePending(world)
    await consumePending(world)
  } catch (thrown) {
    stuck.push({ kind: 'other', text: `the rest cannot be consumed: ${String(thrown)}` })
  }
  await work(world, executed)
  return { queue, problems: [...stuck, ...(await problemsOf(world, play, executed, taken))] }
}
