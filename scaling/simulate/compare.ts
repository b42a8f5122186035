/** One scenario under all controllers, and what several seeds add up to. */
import { type BaselineName, baselineNames, baselines } from './baselines.ts'
import { drawLoad, type Load } from './load.ts'
import { lateCount, loadReversals, mostUnready, reversalsOf, type UselessPods, uselessPods } from './measure.ts'
import { runOracle, runReference } from './oracle.ts'
import { type Breaches, noBreaches, ours, type Recorded } from './ours.ts'
import type { Scenario } from './scenario.ts'
import { type Controller, type Run, simulate } from './world.ts'

interface Scored {
  readonly late: number
  readonly entries: number
  readonly replicaSeconds: number
  readonly reversals: number
}

/** Of one seed. */
export interface Trial {
  readonly ours: Scored
  readonly oracle: Scored
  readonly reference: Scored
  readonly oracleKeeps: boolean
  readonly baselines: Readonly<Record<BaselineName, Scored>>
  readonly breaches: Breaches
  readonly useless?: UselessPods
  /** The most that ours asked for while none was ready. */
  readonly mostUnready: number
}

export function runOurs(scenario: Scenario, load: Load, seed: number, record?: (recorded: Recorded) => void) {
  const breaches = noBreaches()
  return { run: simulate(scenario, load, ours(scenario, breaches, record), seed), breaches }
}

export function runTrial(scenario: Scenario, seed: number): Trial {
  const load = drawLoad(scenario, seed)
  const score = (run: Run): Scored => ({
    ...lateCount(scenario, load, run),
    replicaSeconds: run.replicaSeconds,
    reversals: reversalsOf(run.desired),
  })
  const under = (controller: Controller): Scored => score(simulate(scenario, load, controller, seed))
  const own = runOurs(scenario, load, seed)
  const oracle = runOracle(scenario, load, seed)
  const useless = uselessPods(scenario, own.run)
  return {
    ours: score(own.run),
    oracle: score(oracle.run),
    oracleKeeps: oracle.keeps,
    reference: score(runReference(scenario, load, seed)),
    baselines: {
      hpaOnAge: under(baselines.hpaOnAge(scenario)),
      kedaLag: under(baselines.kedaLag(scenario)),
      numaflow: under(baselines.numaflow(scenario)),
      oneStepBand: under(baselines.oneStepBand(scenario)),
    },
    breaches: own.breaches,
    mostUnready: mostUnready(own.run),
    ...(useless === undefined ? {} : { useless }),
  }
}

export interface BaselineResult {
  readonly overTargetPercent: number
  readonly costOverOracle: number
  readonly reversalsPerHour: number
  readonly replicaHours: number
}

export interface ScenarioResult extends BaselineResult {
  readonly name: string
  readonly heldOut: boolean
  /** Maximum and start-up allow the target: a controller that knows the present load exactly keeps it, and so does the oracle. */
  readonly feasible: boolean
  readonly seeds: number
  readonly entries: number
  /** Of the load itself; reversalsPerHour is what ours makes beyond them. */
  readonly loadReversalsPerHour: number
  readonly oracle: { readonly overTargetPercent: number; readonly replicaHours: number }
  readonly baselines: Readonly<Record<BaselineName, BaselineResult>>
  /** Decisions changed by quarantined entries. */
  readonly poisonMoved: number
  readonly blindDecisions: number
  readonly blindShrinks: number
  readonly restarts: number
  readonly restartShrinks: number
  /** Where replicas cannot start for a while: the most that were asked for while none was ready. */
  readonly mostUnready?: number
  readonly uselessPods?: UselessPods
}

export function summarise(scenario: Scenario, trials: readonly Trial[]): ScenarioResult {
  const sum = (of: (trial: Trial) => number): number => trials.reduce((total, trial) => total + of(trial), 0)
  const percent = (of: (trial: Trial) => Scored): number =>
    round(
      (100 * sum((trial) => of(trial).late)) /
        Math.max(
          1,
          sum((trial) => of(trial).entries),
        ),
      3,
    )
  const oracleSeconds = sum((trial) => trial.oracle.replicaSeconds)
  const hours = (scenario.duration * trials.length) / 3600
  const loadTurns = (loadReversals(scenario) * trials.length) / hours
  const score = (of: (trial: Trial) => Scored): BaselineResult => ({
    overTargetPercent: percent(of),
    costOverOracle: round(sum((trial) => of(trial).replicaSeconds) / oracleSeconds, 3),
    reversalsPerHour: round(Math.max(0, sum((trial) => of(trial).reversals) / hours - loadTurns), 2),
    replicaHours: round(sum((trial) => of(trial).replicaSeconds) / 3600 / trials.length, 2),
  })
  const bound = trials.flatMap(({ useless }) => useless ?? [])
  const mean = (of: (useless: UselessPods) => number) => round(bound.reduce((total, one) => total + of(one), 0) / bound.length, 3)
  return {
    name: scenario.name,
    heldOut: scenario.heldOut,
    feasible: percent((trial) => trial.reference) <= 1 && trials.every(({ oracleKeeps }) => oracleKeeps),
    seeds: trials.length,
    entries: sum(({ ours }) => ours.entries),
    ...score((trial) => trial.ours),
    loadReversalsPerHour: round(loadTurns, 2),
    oracle: { overTargetPercent: percent((trial) => trial.oracle), replicaHours: round(oracleSeconds / 3600 / trials.length, 2) },
    baselines: Object.fromEntries(baselineNames.map((name) => [name, score((trial) => trial.baselines[name])])) as Record<
      BaselineName,
      BaselineResult
    >,
    poisonMoved: sum(({ breaches }) => breaches.poisonMoved),
    blindDecisions: sum(({ breaches }) => breaches.blindDecisions),
    blindShrinks: sum(({ breaches }) => breaches.blindShrinks),
    restarts: sum(({ breaches }) => breaches.restarts),
    restartShrinks: sum(({ breaches }) => breaches.restartShrinks),
    ...(scenario.stuckStarts.length === 0 ? {} : { mostUnready: Math.max(...trials.map((trial) => trial.mostUnready)) }),
    ...(bound.length === 0
      ? {}
      : {
          uselessPods: {
            throughput: mean(({ throughput }) => throughput),
            replicasOverUseful: mean(({ replicasOverUseful }) => replicasOverUseful),
          },
        }),
  }
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits
}
