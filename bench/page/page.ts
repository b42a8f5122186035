/** The measured part of docs/performance.md, from the JSON of a run. */
import type { Judged } from '../forward/bars.ts'
import { type Contender, contenders, kinds } from '../forward/contenders.ts'
import type { Report, Standing } from '../forward/report.ts'
import { numberText } from './scale.ts'

export const begin = '<!-- measured: `npm run bench -- --page` writes from here to the end mark -->'
export const end = '<!-- end of measured -->'

/** @param page as it is, with both marks */
export function replaceMeasured(page: string, measured: string): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from === -1 || to < from) throw new Error(`docs/performance.md has no line ${begin} with ${end} after it`)
  return `${page.slice(0, from)}${begin}\n\n${measured}\n${page.slice(to)}`
}

export function measuredPart(report: Report): string {
  const { circumstances, curves, skipped } = report
  const { form, processors, node, redis } = circumstances
  return [
    `A run of the ${form} form. Load, Redis and contenders shared ${processors} processors. Node was ${node.slice(1)}, Redis was ${redis}.`,
    'Each figure is a median over rounds. A *bar* is the target for a figure. [Contenders](#contenders) explains the other ways.',
    report.judged
      ? 'The machine was quiet.'
      : `**This run is not judged: ${report.reason}.** Its figures show the form of the page, and nothing about speed.`,
    '',
    '| Figure | Measured | Bar | |',
    '|---|---|---|---|',
    ...report.bars.map(barLine),
    '',
    `The p99 is that of ${numberText(report.latency.perSecond)} entries a second, half the measured peak. The control, a bare XADD and XREADGROUP, had ${report.latency.controlP99Ms} ms. For a consumer with the defaults (payloads up to 256 KiB), \`validate\` states ${circumstances.budgetMiB} MiB of memory.`,
    '',
    '### Contenders',
    '',
    ...standingsTable(report.standings),
    '',
    'Jobs a second, on loopback and at a round trip of 2 ms. Redis: CPU time of its main thread for a job of 1 KiB on loopback.',
    '',
    ...contendersIn(report.standings).map((contender) => `- **${contender}**: ${kinds[contender].about}.`),
    ...skipped.map(({ contender, reason }) => `- **${contender}** was left out: ${reason}`),
    ...(curves.length === 0 ? [] : ['', '### Curves']),
    ...curves.flatMap(({ name, title }) => ['', `![${title.replaceAll('`', '')}](performance/${name}.svg)`]),
    '',
  ].join('\n')
}

const verdictText: Readonly<Record<Judged['verdict'], string>> = {
  kept: 'kept',
  missed: '**missed**',
  'not judged': 'not judged',
  'not measured': 'not measured',
}

function barLine({ label, value, unit, sign, bar, verdict }: Judged): string {
  const shown = (number: number) => (unit === '×' ? `${numberText(number)} ×` : `${numberText(number)} ${unit}`)
  return `| ${label} | ${verdict === 'not measured' ? '' : shown(value)} | ${sign} ${shown(bar)} | ${verdictText[verdict]} |`
}

const contendersIn = (standings: readonly Standing[]): readonly Contender[] =>
  contenders.filter((contender) => standings.some((each) => each.contender === contender))

function standingsTable(standings: readonly Standing[]): string[] {
  const columns = [...new Set(standings.map(({ payload, distance }) => `${payload}, ${distance}`))]
  const cell = (contender: Contender, column: string) => {
    const found = standings.find((each) => each.contender === contender && `${each.payload}, ${each.distance}` === column)
    return found === undefined ? '' : numberText(found.perSecond)
  }
  const redis = (contender: Contender) => {
    const found = standings.find(
      (each) => each.contender === contender && each.payload === '1KiB' && each.distance === 'loopback',
    )
    // Null in the JSON of a run whose server does not count it.
    return Number.isFinite(found?.redisMicroseconds) ? `${Math.round(found?.redisMicroseconds ?? 0)} µs` : ''
  }
  return [
    `| | ${columns.join(' | ')} | Redis |`,
    `|---|${columns.map(() => '---|').join('')}---|`,
    ...contendersIn(standings).map((contender) => {
      const cells = columns.map((column) => cell(contender, column))
      return `| ${contender} | ${cells.join(' | ')} | ${redis(contender)} |`
    }),
  ]
}
