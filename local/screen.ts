/**
 * The display of `up`. On a terminal it redraws the table in place. Elsewhere it prints a plain line every few seconds, and each
 * event at once. With JSON output all of this goes to standard error, so that standard output holds one object alone.
 */
import { printable } from '../api/printable.ts'
import { renderLine, renderTable } from './table.ts'
import type { View } from './view.ts'

export interface Terminal {
  write(text: string): unknown
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

export interface Screen {
  /** Something happened; shown at once where lines are written, in the table otherwise. */
  event(line: string): void
  /** A line that stays above the table. */
  announce(line: string): void
  show(view: Omit<View, 'events'>): void
  /** Leaves the last table standing. */
  finish(): void
}

const lineEveryMs = 2_000
const eventsKept = 6
const eraseBelow = '\x1b[J'
const up = (lines: number) => (lines > 0 ? `\x1b[${lines}A\r` : '\r')
/** The width of a terminal that reports none, or reports 0. */
const [usualColumns, usualRows] = [80, 24]
/** Narrower terminals wrap the table, which then cannot be redrawn in place. */
const leastColumns = 20

export function createScreen(terminal: Terminal): Screen {
  return terminal.isTTY === true ? tableScreen(terminal) : lineScreen(terminal)
}

function tableScreen(terminal: Terminal): Screen {
  const events: string[] = []
  let drawn = 0
  return {
    announce(line) {
      terminal.write(`${up(drawn)}${eraseBelow}${printable(line)}\n`)
      drawn = 0
    },
    event(line) {
      events.push(printable(line))
      if (events.length > eventsKept) events.shift()
    },
    show(view) {
      const width = Math.max(leastColumns, terminal.columns || usualColumns)
      // A table taller than the terminal would scroll away under its own redraw.
      const lines = renderTable({ ...view, events }, width).slice(0, Math.max(1, (terminal.rows || usualRows) - 1))
      terminal.write(`${up(drawn)}${eraseBelow}${lines.join('\n')}\n`)
      drawn = lines.length
    },
    finish() {
      terminal.write('\n')
      drawn = 0
    },
  }
}

function lineScreen(terminal: Terminal): Screen {
  let shownAt = Number.NEGATIVE_INFINITY
  return {
    announce: (line) => void terminal.write(`${printable(line)}\n`),
    event: (line) => void terminal.write(`       ${printable(line)}\n`),
    show(view) {
      if (view.elapsedMs - shownAt < lineEveryMs) return
      shownAt = view.elapsedMs
      terminal.write(`${renderLine({ ...view, events: [] })}\n`)
    },
    finish: () => {},
  }
}
