/** Stages, their times, and a user's view of each. A run ends with a table, and with `--capture` with a page of the docs. */
import { writeFileSync } from 'node:fs'
import { execute, program } from './commands.ts'
import { lenient } from './patience.ts'

export interface Report {
  /** False: it failed, and what builds on it is better left. */
  stage(name: string, work: () => Promise<void>): Promise<boolean>
  /** A line under the stage that runs. */
  note(text: string): void
  /**
   * A figure for the table. With a bar it must keep the bar, in seconds only if the machine does nothing else (patience.ts).
   */
  measure(what: string, value: number, unit: string, bar?: number): void
  /** Notes a command and its output under a heading. */
  capture(heading: string, text: string, ...commands: (readonly string[])[]): Promise<void>
  /** Prints the table; returns the exit code. */
  finish(capturePath?: string): number
}

interface Figure {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly bar: number | undefined
}

const say = (line: string): void => void process.stdout.write(`${line}\n`)

export function createReport(): Report {
  const figures: Figure[] = []
  const stages: { name: string; seconds: number; failure?: string }[] = []
  const pages: string[] = []
  const startedAt = performance.now()
  return {
    async stage(name, work) {
      const began = performance.now()
      const seconds = () => (performance.now() - began) / 1000
      try {
        await work()
        stages.push({ name, seconds: seconds() })
        say(`ok     ${name} (${seconds().toFixed(1)} s)`)
        return true
      } catch (thrown) {
        const failure = thrown instanceof Error ? thrown.message : String(thrown)
        stages.push({ name, seconds: seconds(), failure })
        say(`FAILED ${name} (${seconds().toFixed(1)} s): ${failure}`)
        return false
      }
    },
    note: (text) => say(`       ${text}`),
    measure(what, value, unit, bar) {
      figures.push({ what, value, unit, bar })
    },
    async capture(heading, text, ...commands) {
      const blocks: string[] = []
      for (const command of commands) {
        const { stdout, stderr } = await execute(program(command[0] ?? ''), command.slice(1))
        blocks.push(`$ ${command.join(' ')}\n${withoutSpec(stdout || stderr).trimEnd()}`)
      }
      pages.push(`## ${heading}\n\n${text}\n\n\`\`\`console\n${blocks.join('\n\n')}\n\`\`\`\n`)
    },
    finish(capturePath) {
      const total = (performance.now() - startedAt) / 1000
      say('')
      let failed = stages.some(({ failure }) => failure !== undefined)
      for (const { what, value, unit, bar } of figures) {
        const held = bar === undefined || value <= bar
        const enforced = unit !== 's' || !lenient
        failed ||= !held && enforced
        say(
          `${held ? 'ok    ' : enforced ? 'MISSED' : 'SLOW  '} ${what}: ${Number(value.toFixed(1))} ${unit}${bar === undefined ? '' : ` (bar: ${bar})`}`,
        )
      }
      say(
        `${stages.length} stages, ${stages.filter(({ failure }) => failure !== undefined).length} failed, ${total.toFixed(0)} s`,
      )
      if (capturePath !== undefined && !failed) writeFileSync(capturePath, page(pages))
      return failed ? 1 : 0
    },
  }
}

/**
 * The user knows what they applied, and describe prints it with every default: left out. The address of this machine's resolver is
 * left out as well.
 */
function withoutSpec(text: string): string {
  return text.replace(/^Spec:\n(?: .*\n)+/m, 'Spec:\n  ...\n').replaceAll(/ on [0-9.]+:53\b/g, '')
}

function page(parts: readonly string[]): string {
  return `# What you see

This page shows the output of kubectl on an ordinary day of a pipeline: first entries, a burst, a full queue, a rest, and faults.
\`npm run test:e2e -- --capture\` wrote it, on a cluster of one node with two cores. The pipeline is that of examples/quickstart.yaml,
and its Redis runs in a pod. The page omits the \`Spec\` of \`kubectl describe\`.

${parts.join('\n')}`
}
