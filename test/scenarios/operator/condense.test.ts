/** The trimmed form of an object in a store, and the subscribers that get it. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubernetesObject } from '../../../operator/kubernetes/objects.ts'
import { createStore, type StoreChange } from '../../../operator/kubernetes/store.ts'

type Note = KubernetesObject & { readonly text?: string }

const note = (resourceVersion: string, text: string, pipeline = 'a'): Note => ({
  metadata: { name: 'n', namespace: 'farm', uid: 'u', resourceVersion, labels: { pipeline } },
  text,
})

function storeOfNotes() {
  const changes: StoreChange<Note>[] = []
  const store = createStore<Note>({
    indexes: { pipeline: ({ metadata }) => metadata.labels?.['pipeline'] },
    trimmedForm: ({ metadata }) => ({ metadata }),
    handlers: [(change) => void changes.push(change)],
  })
  return { store, changes }
}

test('a trimmed object keeps its trimmedForm through events and lists, silently, and is found as before', () => {
  const { store, changes } = storeOfNotes()
  store.set(note('1', 'long'))
  assert.equal(store.get('farm/n')?.text, 'long')
  store.trim('farm/n')
  assert.equal(store.get('farm/n')?.text, undefined)
  assert.equal(changes.length, 1, 'no handler is called')
  store.set(note('2', 'longer', 'b'))
  assert.equal(store.get('farm/n')?.text, undefined)
  assert.equal(store.get('farm/n')?.metadata.resourceVersion, '2')
  assert.deepEqual(store.indexed('pipeline', 'a'), [])
  assert.equal(store.indexed('pipeline', 'b').length, 1)
  store.replace([note('3', 'longest', 'b')])
  assert.equal(store.get('farm/n')?.text, undefined)
  assert.equal(changes.length, 3, 'changes are reported')
})

test('an object that went and came again is whole', () => {
  const { store } = storeOfNotes()
  store.set(note('1', 'long'))
  store.trim('farm/n')
  store.remove(note('2', 'long'))
  store.set(note('3', 'new'))
  assert.equal(store.get('farm/n')?.text, 'new')
})

test('the echo of an object that the store holds reaches no handler; a list reports the object, as a resync', () => {
  const { store, changes } = storeOfNotes()
  store.set(note('1', 'long'))
  store.set(note('1', 'long'))
  assert.equal(changes.length, 1)
  store.replace([note('1', 'long')])
  assert.equal(changes.length, 2)
  assert.ok(changes[1]?.kind === 'Set' && changes[1].resync)
})
