import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createScreen, type Terminal } from '../../local/screen.ts'
import { renderLine, renderTable } from '../../local/table.ts'
import type { View } from '../../local/view.ts'
import { sampleWith } from '../scaling/builders.ts'

const view: View = {
  name: 'ndvi',
  redis: '127.0.0.1:6379',
  elapsedMs: 12_300,
  phase: { kind: 'Running' },
  targetAgeMs: 2_000,
  sample: sampleWith({ undelivered: 1_204, pending: 300, quarantined: 1, oldestAgeMs: 1_440, deadLetters: 7, queueWaiting: 12 }),
  replicas: [
    { name: 'ndvi-1', uid: 'a', state: { kind: 'Running', since: 0, crashes: 0 } },
    { name: 'ndvi-2', uid: 'b', state: { kind: 'Starting', since: 0, crashes: 0 } },
    { name: 'ndvi-3', uid: 'c', state: { kind: 'BackingOff', until: 0, crashes: 1, exit: { code: 1, signal: null } } },
  ],
  totals: { forwarded: 10_233, duplicates: 512 },
  demo: { entries: 12_000, executions: 10_012 },
  events: ['consumer ndvi-2 started (pid 7)'],
}

describe('the live table', () => {
  it('shows what the person came for', () => {
    const text = renderTable(view, 100).join('\n')
    for (const shown of [
      /^StreamPipeline ndvi on 127\.0\.0\.1:6379, 12s$/m,
      /^ {2}backlog +1,204 undelivered, 300 being forwarded, 1 failing again and again$/m,
      /^ {2}oldest age +1\.4s \(target 2s\)$/m,
      /^ {2}replicas +1 \(1 starting, 1 restarting\)$/m,
      /^ {2}forwarded +10,233$/m,
      /^ {2}duplicates +512$/m,
      /^ {2}dead letters +7$/m,
      /^ {2}queue +12 jobs waiting, 10,012 executed$/m,
      /^ {2}consumer ndvi-2 started \(pid 7\)$/m,
      /^Ctrl-C drains/m,
    ]) {
      assert.match(text, shown)
    }
  })

  it('says so when Redis does not answer, and what draining means', () => {
    const { sample: _, ...blind } = view
    const text = renderTable({ ...blind, phase: { kind: 'Draining' } }, 100).join('\n')
    assert.match(text, /backlog +\? \(Redis does not answer\)/)
    assert.match(text, /Draining: .* Ctrl-C again stops at once\./)
  })

  it('names how many consumers of others there are', () => {
    assert.match(renderTable({ ...view, others: 2 }, 100).join('\n'), /replicas .*\), and 2 of others/)
    assert.doesNotMatch(renderTable({ ...view, others: 0 }, 100).join('\n'), /others/)
  })

  it('never exceeds the width', () => {
    for (const width of [20, 40, 77]) for (const line of renderTable(view, width)) assert.ok(line.length <= width, line)
  })

  it('fits one line for logs', () => {
    assert.equal(
      renderLine(view),
      '  12s  backlog 1504  oldest 1.4s  replicas 1/?  forwarded 10233  duplicates 512  dead letters 7',
    )
  })
})

describe('the screen', () => {
  const written = (over: Partial<Terminal>) => {
    const texts: string[] = []
    return { texts, terminal: { write: (text: string) => texts.push(text), ...over } }
  }

  it('redraws in place on a terminal, and never draws more lines than it has', () => {
    const { texts, terminal } = written({ isTTY: true, columns: 60, rows: 8 })
    const screen = createScreen(terminal)
    screen.show(view)
    screen.show(view)
    assert.equal(texts[0]?.split('\n').length, 8)
    assert.ok(texts[1]?.startsWith('\x1b[7A\r\x1b[J'))
  })

  it('draws for 80 columns and 24 rows on a terminal that reports none', () => {
    const lines = (over: Partial<Terminal>) => {
      const { texts, terminal } = written({ isTTY: true, ...over })
      createScreen(terminal).show(view)
      return texts.join('')
    }
    assert.equal(lines({ columns: 0, rows: 0 }), lines({ columns: 80, rows: 24 }))
    assert.match(lines({ columns: 0, rows: 0 }), /StreamPipeline ndvi on \S+, 12s\n/)
  })

  it('keeps what is announced above the table', () => {
    const { texts, terminal } = written({ isTTY: true, columns: 60, rows: 8 })
    const screen = createScreen(terminal)
    screen.announce('stream ndvi:jobs holds 200 entries')
    screen.show(view)
    screen.announce('and more')
    screen.show(view)
    assert.equal(texts[0], '\r\x1b[Jstream ndvi:jobs holds 200 entries\n')
    assert.ok(texts[1]?.startsWith('\r\x1b[J'), 'nothing above is drawn over')
    assert.ok(texts[2]?.startsWith('\x1b[7A\r\x1b[J'), 'the table makes room')
    assert.ok(texts[3]?.startsWith('\r\x1b[J'))
  })

  it('writes a line every two seconds elsewhere, and events at once', () => {
    const { texts, terminal } = written({})
    const screen = createScreen(terminal)
    for (const elapsedMs of [0, 500, 1_000, 2_000, 2_500]) screen.show({ ...view, elapsedMs })
    screen.event('consumer ndvi-2 drained')
    assert.equal(texts.length, 3)
    assert.ok(!texts.join('').includes('\x1b'))
  })
})
