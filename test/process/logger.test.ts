/** Lines of the log: bounded, and without a character that a terminal obeys. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mostMessage } from '../../api/printable.ts'
import { createLogger } from '../../process/logger.ts'

function logged(fields: object): string {
  const written: string[] = []
  createLogger('info', { write: (line) => void written.push(line) }).info(fields, 'a line')
  return written.join('')
}

/** Each UTF-16 unit of it becomes an escape of six characters. */
const tags = '\u{e0041}'.repeat(1_900)

test('a field whose escapes are long is cut, though its text is short', () => {
  assert.ok(tags.length < mostMessage)
  const line = logged({ consumer: tags, error: tags })
  assert.ok(line.length < 2.5 * mostMessage, `${line.length} characters`)
})

test('a field that is short with its escapes keeps its value', () => {
  const value = '\u{e0041}\u202e\u001b[31m'.repeat(20)
  const { consumer } = JSON.parse(logged({ consumer: value })) as { consumer: string }
  assert.equal(consumer, value)
})

test('a long field of plain text is cut', () => {
  assert.ok(logged({ consumer: 'x'.repeat(100_000) }).length < 1.5 * mostMessage)
})
