/** The words about an ended consumer process: one line for the user, and the reason of a process that refused its configuration. */
import { formatAge } from '../api/duration.ts'
import { describeExit, type Exit } from './child.ts'

/** EX_USAGE: the consumer refused its configuration. */
const badConfiguration = 64

interface Ended {
  readonly name: string
  readonly exit: Exit
  /** The fleet killed all its processes. */
  readonly killed: boolean
  /** The process was to drain. */
  readonly asked: boolean
  readonly graceMs: number
  /** Its last lines of output. */
  readonly tail: readonly string[]
}

interface Ending {
  readonly line: string
  /** The consumer refused its configuration; no restart helps. */
  readonly refusal?: { readonly message: string; readonly remedy: string }
}

export function endingOf(ended: Ended): Ending {
  const { exit, asked } = ended
  const reported = reportIn(lastWords(ended.tail, exit))
  const line = `consumer ${ended.name} ${describe(ended, reported.message)}`
  return !asked && exit.code === badConfiguration ? { line, refusal: reported } : { line }
}

function describe({ exit, killed, asked, graceMs }: Ended, message: string): string {
  if (killed) return 'was killed, as requested'
  if (asked && exit.code === 0) return 'drained'
  // A process that does not listen for signals yet has nothing to drain.
  if (asked && exit.signal === 'SIGTERM') return 'stopped while starting'
  if (asked && exit.signal === 'SIGKILL') return `was killed: it had not drained within ${formatAge(graceMs)}`
  return `ended (${describeExit(exit)})${asked ? '' : '; starting it again'}${message === '' ? '' : `: ${message}`}`
}

/** Signals of others. The process that gets one has logged nothing about it. */
const sent: ReadonlySet<string> = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP'])

/**
 * The line with the cause, of a process that ended by itself. Lines about its draining follow it. After a failure of memory or of
 * Node, Node itself writes the cause, which is no JSON.
 */
function lastWords(lines: readonly string[], exit: Exit): string {
  if (exit.signal === null) return lines.findLast((line) => !line.startsWith('{"level":"info"')) ?? lines.at(-1) ?? ''
  return sent.has(exit.signal) ? '' : (lines.findLast((line) => !line.startsWith('{')) ?? '')
}

/** Message and remedy of a line of output. The log of a consumer is JSON, a line of Node itself is not. */
function reportIn(line: string): { message: string; remedy: string } {
  const plain = { message: line, remedy: 'read the line above' }
  if (!line.startsWith('{')) return plain
  try {
    const entry: Partial<Record<string, unknown>> = JSON.parse(line)
    return { message: String(entry['msg'] ?? line), remedy: String(entry['remedy'] ?? plain.remedy) }
  } catch {
    return plain // cut short: shown as it is
  }
}
