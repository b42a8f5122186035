/**
 * The decision log: one JSON object a line, with all that `decide` was given and what it decided. Since `decide` is pure, a log can
 * be run again. With the same policy it must decide the same, and with another it shows the change.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { failure } from '../api/errors.ts'
import { printableJson } from '../api/printable.ts'
import type { Decision } from './decide.ts'
import type { ScalingPolicy } from './policy.ts'
import type { Sample } from './sample.ts'
import type { ScalingState } from './state.ts'

export interface LoggedDecision {
  readonly version: 1
  /** Which pipeline: `namespace/name`. */
  readonly pipeline: string
  /** Null: Redis could not be asked. */
  readonly sample: Sample | null
  /** Null before the first decision. */
  readonly state: ScalingState | null
  readonly policy: ScalingPolicy
  readonly decision: Decision
}

export function decisionLine(logged: Omit<LoggedDecision, 'version'>): string {
  return `${printableJson(JSON.stringify({ version: 1, ...logged }))}\n`
}

interface DecisionLog {
  write(logged: Omit<LoggedDecision, 'version'>): void
  /** Idempotent. */
  close(): void
}

/**
 * Begins a log. It overwrites a file of that name. Each line is written at once: one comes every few seconds, and the last ones
 * before a crash are those that are looked for.
 * @throws InvalidOption
 */
export function openDecisionLog(file: string): DecisionLog {
  let descriptor: number | undefined
  try {
    descriptor = openSync(file, 'w')
  } catch (thrown) {
    const detail = thrown instanceof Error ? thrown.message : String(thrown)
    throw failure('InvalidOption', { option: '--decision-log', detail }, thrown)
  }
  return {
    write(logged) {
      if (descriptor !== undefined) writeSync(descriptor, decisionLine(logged))
    },
    close() {
      if (descriptor !== undefined) closeSync(descriptor)
      descriptor = undefined
    },
  }
}

/**
 * The decisions of a log, one or more; the operator's other lines, which an output of `kubectl logs` has among them, are passed over.
 * @throws UnreadableFile, with the line, or with how decisions come to be logged
 */
export function parseDecisionLog(text: string, file: string): LoggedDecision[] {
  const log = text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return []
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch (thrown) {
      throw failure('UnreadableFile', { file, detail: `line ${index + 1} is not JSON` }, thrown)
    }
    if (isLogLine(value)) return []
    if (!isLogged(value)) throw failure('UnreadableFile', { file, detail: `line ${index + 1} is no decision of this version` })
    return [value]
  })
  if (log.length === 0) {
    const detail =
      'it holds no decisions: the operator logs those that change the number of consumers, or all with --decision-log all; `up` and `simulate` write them with --decision-log FILE'
    throw failure('UnreadableFile', { file, detail })
  }
  return log
}

/** One pipeline's decisions: states of different ones must not be mixed. @throws InvalidOption */
export function decisionsOf(log: readonly LoggedDecision[], pipeline: string | undefined): readonly LoggedDecision[] {
  const names = [...new Set(log.map((logged) => logged.pipeline))].toSorted()
  const refused = (detail: string) => failure('InvalidOption', { option: '--pipeline', detail })
  if (pipeline === undefined) {
    if (names.length > 1) throw refused(`the log has decisions about ${names.join(', ')}: name one`)
    return log
  }
  const chosen = log.filter((logged) => logged.pipeline === pipeline)
  if (chosen.length === 0) throw refused(`the log has none about ${pipeline}, only about ${names.join(', ') || 'no pipeline'}`)
  return chosen
}

/** As pino writes them. */
function isLogLine(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'level' in value && 'msg' in value
}

function isLogged(value: unknown): value is LoggedDecision {
  if (typeof value !== 'object' || value === null || Reflect.get(value, 'version') !== 1) return false
  return (
    ['policy', 'decision'].every((field) => typeof Reflect.get(value, field) === 'object') &&
    'sample' in value &&
    'state' in value
  )
}
