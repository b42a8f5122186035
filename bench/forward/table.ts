/** A report as text for a terminal. */
import type { Judged } from './bars.ts'
import type { Report } from './report.ts'

/** A missed bar catches the eye. */
const verdicts: Readonly<Record<Judged['verdict'], string>> = {
  kept: 'ok',
  missed: 'MISSED',
  'not judged': 'not judged',
  'not measured': 'not measured',
}

export function table(report: Report): string {
  const { standings, bars, machine, skipped, circumstances, latency } = report
  const rate = (value: number) => value.toLocaleString('en-US').padStart(8)
  return [
    'payload where     contender            median      Redis   rounds',
    ...standings.map(({ payload, distance, contender, perSecond, redisMicroseconds, rounds }) =>
      [
        payload.padEnd(7),
        distance.padEnd(9),
        contender.padEnd(18),
        `${rate(perSecond)}/s`,
        `${redisMicroseconds.toFixed(1).padStart(6)} µs  `,
        rounds.join(' '),
      ].join(' '),
    ),
    ...skipped.map(({ contender, reason }) => `${contender} was left out: ${reason}`),
    '',
    ...bars.map(
      ({ label, unit, value, sign, bar, verdict }) =>
        `${label.replaceAll('`', '').padEnd(48)} ${String(round2(value)).padStart(8)} ${unit.padEnd(4)} ${sign} ${round2(bar)}  ${verdicts[verdict]}`,
    ),
    '',
    `latency at ${Math.round(latency.perSecond)} entries a second: p50 ${latency.p50Ms} ms; control p50 ${latency.controlP50Ms}, p99 ${latency.controlP99Ms} ms`,
    `round trip over the distance: ${circumstances.measuredRoundTripMs} ms`,
    `consumer: Node ${circumstances.node} ${circumstances.consumerFlags.join(' ')}; Redis ${circumstances.redis}`,
    `machine: ${circumstances.processors} processors, contention ${round2(machine.contention)}, drift ${round2(machine.drift)}`,
    report.judged ? 'The machine was quiet.' : `NOT JUDGED: ${report.reason}`,
  ].join('\n')
}

const round2 = (value: number) => Math.round(value * 100) / 100
