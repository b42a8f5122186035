/** Results for people: a table on the terminal, the same in Markdown for the documentation. */
import { count } from '../reasons.ts'
import { baselineNames } from './baselines.ts'
import type { BaselineResult, ScenarioResult } from './compare.ts'

const titles = { hpaOnAge: 'HPA on age', kedaLag: 'KEDA lag', numaflow: 'Numaflow', oneStepBand: '±1 band' } as const

const cell = ({ overTargetPercent, costOverOracle }: BaselineResult): string =>
  `${percent(overTargetPercent)} / ${costOverOracle.toFixed(2)}`

const percent = (value: number): string => (value === 0 ? '0' : value < 10 ? value.toFixed(2) : value.toFixed(1))

const header = ['scenario', 'feasible', 'late %', '× oracle', 'reversals/h', ...baselineNames.map((name) => titles[name])]

function rows(results: readonly ScenarioResult[]): string[][] {
  return results.map((result) => [
    `${result.name}${result.heldOut ? ' *' : ''}`,
    result.feasible ? 'yes' : 'no',
    percent(result.overTargetPercent),
    result.costOverOracle.toFixed(2),
    result.reversalsPerHour.toFixed(1),
    ...baselineNames.map((name) => cell(result.baselines[name])),
  ])
}

export function textTable(results: readonly ScenarioResult[]): string {
  const all = [header, ...rows(results)]
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row
      .map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd()
  return [...all.map(line), '', ...notes(results)].join('\n')
}

export function markdownTable(results: readonly ScenarioResult[]): string {
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`
  return [line(header), `|---|${'---:|'.repeat(header.length - 1)}`, ...rows(results).map(line), '', ...notes(results)].join('\n')
}

function notes(results: readonly ScenarioResult[]): string[] {
  const [first] = results
  if (first === undefined) return []
  const sum = (of: (result: ScenarioResult) => number) => results.reduce((total, result) => total + of(result), 0)
  const over = sum(({ replicaHours }) => replicaHours) / sum(({ oracle }) => oracle.replicaHours)
  const bound = results.flatMap(({ name, uselessPods }) => (uselessPods === undefined ? [] : [{ name, ...uselessPods }]))
  return [
    `late: entries taken later than the target. Baselines: late % / × oracle. *: the model was not tuned on this scenario. Seeds: 1 to ${first.seeds}.`,
    `All scenarios together: ${over.toFixed(2)} × the oracle's replica-hours. Decisions changed by quarantined entries: ${sum((r) => r.poisonMoved)}.`,
    `Decisions without metrics: ${sum((r) => r.blindDecisions)}, of which ${sum((r) => r.blindShrinks)} took replicas away.`,
    ...(sum((r) => r.restarts) === 0
      ? []
      : [
          `Operators replaced: ${sum((r) => r.restarts)}, of which ${sum((r) => r.restartShrinks)} began by taking replicas away.`,
        ]),
    ...results.flatMap(({ name, mostUnready }) =>
      mostUnready === undefined ? [] : [`${name}: ${count(mostUnready, 'replica')} at most, while none was ready.`],
    ),
    ...bound.map(
      ({ name, throughput, replicasOverUseful }) =>
        `${name}, after five minutes: ${percent(100 * throughput)} % of the capped throughput with ${replicasOverUseful.toFixed(2)} × the useful replicas.`,
    ),
  ]
}
