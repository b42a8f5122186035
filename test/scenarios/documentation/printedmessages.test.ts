/**
 * docs/what-you-see.md is written by a run on a cluster (`npm run test:e2e -- --capture`). Between two runs a text of the operator may
 * change. So each reason and message of a condition that the page prints is looked up in the sources: a page that prints another one is old.
 */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'node:test'
import { errorCatalogue } from '../../../api/errors.ts'
import { projectRoot } from '../../support/root.ts'

const read = (path: string) => readFileSync(join(projectRoot, path), 'utf8')
const page = read('docs/what-you-see.md')
const sources = globSync('operator/**/*.ts', { cwd: projectRoot }).map(read)
const catalogued = Object.values(errorCatalogue).flatMap(({ message, remedy }) => [message, remedy])

/** Messages are put together from sentences and halves of sentences. */
const piecesOf = (text: string) => text.split(/\. |; /).map((piece) => piece.replace(/\.$/, ''))

/** Fits the piece of a message: a value stands for each placeholder. Undefined: it would fit anything. */
function fitOf(template: string): RegExp | undefined {
  const fixed = template.split(/\$\{.*?\}|\{\w+\}/)
  if (
    fixed
      .join(' ')
      .split(/\s+/)
      .filter((word) => /^\w{3,}/.test(word)).length < 2
  )
    return undefined
  return new RegExp(`^${fixed.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`, 'i')
}

const literals = sources.flatMap((text) =>
  [...text.matchAll(/'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`/g)].map(([, a, b]) => a ?? b ?? ''),
)
const fits = [...literals, ...catalogued].flatMap(piecesOf).flatMap((piece) => fitOf(piece) ?? [])

/** The words of others: of the kubelet about a pod, of an admission plugin about an object. */
const isForeign = (piece: string) => /^(?:Pod|Deployment|ReplicaSet) \S+: /.test(piece)

const unknownPieces = (message: string) =>
  piecesOf(message).filter((piece) => !isForeign(piece) && !fits.some((fit) => fit.test(piece)))

const valuesOf = (field: string) => [
  ...new Set([...page.matchAll(new RegExp(`^ +${field}: +(.+)$`, 'gm'))].map(([, value = '']) => value)),
]

test('each condition message in docs/what-you-see.md is one of the operator’s', () => {
  const messages = valuesOf('Message')
  assert.ok(messages.length > 8, 'the page prints conditions')
  const old = messages.flatMap((message) => unknownPieces(message).map((piece) => `${piece} (of: ${message})`))
  assert.deepEqual(old, [])
})

test('a message that the operator does not write is found', () => {
  assert.deepEqual(unknownPieces('Redis replies. No manual action is required'), ['Redis replies'])
})

test('each condition reason in docs/what-you-see.md is one of the operator’s', () => {
  const known = new Set([...literals, ...Object.values(errorCatalogue).map(({ reason }) => reason)])
  // A decision has a sentence as its reason.
  const reasons = valuesOf('Reason').filter((reason) => /^[A-Z]\w+$/.test(reason))
  assert.ok(reasons.length > 8)
  assert.deepEqual(
    reasons.filter((reason) => !known.has(reason)),
    [],
  )
})
