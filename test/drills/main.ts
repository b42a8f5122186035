/**
 * `npm run drills`: every alert of the chart, drilled. A real Prometheus evaluates the rules that helm renders, with windows and
 * thresholds shortened by values; a fault makes the alert fire, its cure makes it stop. Root, for a cgroup (version 1).
 *
 *   -o json          prints {alerts, drilled, fired, stopped} alone
 *   --only PATTERN   the drills of alerts whose names match
 *
 * Exit code 0 if every alert was drilled, fired and stopped.
 */
import { parseArgs } from 'node:util'
import { createScope } from '../../bench/support/scope.ts'
import { alertGroups } from '../../build/chart/alerts.ts'
import { eventually } from '../support/wait.ts'
import type { Drill } from './drill.ts'
import { leaderDrills, operatorDrills } from './operators.ts'
import { awayDrills, pipelineDrills, removeCgroup } from './pipelines.ts'
import { names, type Scene, startScene } from './scene.ts'

const { values: options } = parseArgs({ options: { output: { type: 'string', short: 'o' }, only: { type: 'string' } } })
const say = (line: string) => void process.stderr.write(`${line}\n`)
const patience = { timeoutMs: 240_000, intervalMs: 500 }

const wanted = new RegExp(options.only ?? '')
const waves = [
  pipelineDrills,
  ...awayDrills.map((drill) => [drill]),
  ...operatorDrills.map((drill) => [drill]),
  leaderDrills,
].map((wave) => wave.filter(({ alerts }) => alerts.some((alert) => wanted.test(alert))))

interface Outcome {
  readonly fired: Set<string>
  readonly stopped: Set<string>
}

/**
 * Waits until each alert of the drill fires, or, with `isFiring` false, until each has stopped. An alert that does not is reported.
 * Nothing is thrown.
 */
async function become(scene: Scene, { alerts, fault }: Drill, isFiring: boolean, into: Set<string>): Promise<void> {
  for (const alert of alerts) {
    try {
      await eventually(async () => (await scene.prometheus.firing()).has(alert) === isFiring, patience)
      into.add(alert)
      say(`${alert} ${isFiring ? `fires: ${fault}` : 'stops'}`)
    } catch {
      say(`FAILED ${alert} does not ${isFiring ? `fire: ${fault}` : 'stop'}`)
    }
  }
}

async function performOne(scene: Scene, drill: Drill, { fired, stopped }: Outcome): Promise<void> {
  // An alert that fires before the fault would prove nothing about it. So the drill waits until none fires.
  await eventually(async () => {
    const firing = await scene.prometheus.firing()
    return drill.alerts.every((alert) => !firing.has(alert))
  }, patience)
  await drill.arise(scene)
  await become(scene, drill, true, fired)
  await drill.cease(scene)
  await become(scene, drill, false, stopped)
}

async function perform(scene: Scene, wave: readonly Drill[], outcome: Outcome): Promise<void> {
  await Promise.all(
    wave.map(async (drill) => {
      try {
        await performOne(scene, drill, outcome)
      } catch (thrown) {
        say(`FAILED ${drill.alerts.join(', ')}: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
      }
    }),
  )
}

async function run(): Promise<number> {
  const scope = createScope()
  const outcome: Outcome = { fired: new Set(), stopped: new Set() }
  try {
    const scene = await startScene(scope)
    await scene.apply(names.main, {
      ...{ scaling: { targetAge: '5s', maxReplicas: 1 }, deadLetter: { stream: 'main:dead', maxEntries: 10 } },
      ...{ reclaim: { minIdle: '1s', interval: '500ms' }, idempotency: { lockTTL: '1s' } },
    })
    await scene.apply(names.late, { scaling: { targetAge: '5s', maxReplicas: 1 } })
    await scene.apply(names.away, { scaling: { maxReplicas: 1 } })
    await scene.apply(names.busy, {
      source: { stream: 'busy:jobs', group: 'busy', batchSize: 1 },
      scaling: { targetAge: '2s', maxReplicas: 2, scaleDownDelay: '5s' },
    })
    await scene.apply(names.lossy, { scaling: { maxReplicas: 1 } })
    await scene.apply(names.contended, { suspend: true })
    for (const name of [names.main, names.late, names.away, names.busy, names.lossy]) await scene.ready(name)
    for (const wave of waves) await perform(scene, wave, outcome)
  } finally {
    await removeCgroup()
    await scope.close()
  }
  const alerts = alertGroups.flatMap(({ rules }) => rules).map(({ alert }) => alert)
  const drilled = new Set(waves.flat().flatMap((drill) => drill.alerts))
  const counts = { alerts: alerts.length, drilled: drilled.size, fired: outcome.fired.size, stopped: outcome.stopped.size }
  console.log(
    options.output === 'json'
      ? JSON.stringify(counts)
      : Object.entries(counts)
          .map(([what, count]) => `${what} ${count}`)
          .join(', '),
  )
  return Object.values(counts).every((count) => count === alerts.length) ? 0 : 1
}

process.exitCode = await run()
