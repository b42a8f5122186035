import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failure } from '../../../api/errors.ts'
import type { KubernetesObject } from '../../../operator/kubernetes/objects.ts'
import { createReflector } from '../../../operator/kubernetes/reflector.ts'
import { type ReflectorSignal, type ReflectorState, transition } from '../../../operator/kubernetes/reflectorstates.ts'
import { createStore, type StoreChange } from '../../../operator/kubernetes/store.ts'
import type { Transport, WatchEvent } from '../../../operator/kubernetes/transport.ts'
import { systemClock } from '../../../process/clock.ts'
import { eventually } from '../../support/wait.ts'

const expired = failure('KubernetesExpired', { detail: 'too old resource version' })
const busy = failure('KubernetesBusy', { detail: 'try later' })
const watching = (attempt = 0, heard = false, expiries = 0): ReflectorState => ({
  kind: 'Watching',
  resourceVersion: '7',
  heard,
  attempt,
  expiries,
})
const listing = (attempt = 0, expiries = 0): ReflectorState => ({ kind: 'Listing', attempt, expiries })
const failed = (error: typeof busy): ReflectorSignal => ({ kind: 'Failed', error })

const transitions: readonly (readonly [string, ReflectorState, ReflectorSignal, ReflectorState])[] = [
  ['starts by listing', { kind: 'Empty' }, { kind: 'Start' }, listing()],
  ['watches from the version of the list', listing(3), { kind: 'Listed', resourceVersion: '7' }, watching()],
  [
    'moves its version on with every event, and forgets earlier failures',
    watching(4, false, 2),
    { kind: 'Heard', resourceVersion: '9' },
    { kind: 'Watching', resourceVersion: '9', heard: true, attempt: 0, expiries: 0 },
  ],
  [
    'opens a watch again at once when the server closed it after telling something',
    watching(0, true),
    { kind: 'Ended' },
    watching(),
  ],
  [
    'waits before opening again a watch that delivered nothing',
    watching(),
    { kind: 'Ended' },
    { kind: 'Backoff', attempt: 1, expiries: 0, cause: undefined, resourceVersion: '7' },
  ],
  ['lists anew at once when its version is gone', watching(), failed(expired), listing(0, 1)],
  ['does so also after an outage that took many attempts', watching(9), failed(expired), listing(9, 1)],
  [
    'waits when each list is followed by a version that is gone',
    watching(0, false, 2),
    failed(expired),
    { kind: 'Backoff', attempt: 1, expiries: 3, cause: expired },
  ],
  [
    'resumes where it was after any other failure of a watch',
    watching(1),
    failed(busy),
    { kind: 'Backoff', attempt: 2, expiries: 0, cause: busy, resourceVersion: '7' },
  ],
  ['lists again after a failed list', listing(), failed(busy), { kind: 'Backoff', attempt: 1, expiries: 0, cause: busy }],
  [
    'goes on after the wait',
    { kind: 'Backoff', attempt: 2, expiries: 0, cause: busy, resourceVersion: '7' },
    { kind: 'Waited' },
    watching(2),
  ],
  [
    'goes on with a list where it had no version',
    { kind: 'Backoff', attempt: 2, expiries: 1, cause: busy },
    { kind: 'Waited' },
    listing(2, 1),
  ],
]

for (const [sentence, from, signal, to] of transitions) {
  test(`the reflector ${sentence}`, () => assert.deepEqual(transition(from, signal), to))
}

const thing = (name: string, resourceVersion: string, more: Partial<KubernetesObject['metadata']> = {}): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'ns', name, resourceVersion, ...more },
})
const type = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps' }

test('the store drops stale events, strips managedFields, keeps its indexes, and survives a handler that throws', () => {
  const changes: StoreChange<KubernetesObject>[] = []
  const failures: unknown[] = []
  const store = createStore<KubernetesObject>({
    indexes: { app: (object) => object.metadata.labels?.['app'] },
    handlers: [
      () => {
        throw new Error('a faulty handler')
      },
      (change) => changes.push(change),
    ],
    onHandlerFailure: (thrown) => failures.push(thrown),
  })
  store.set(thing('a', '9', { labels: { app: 'x' }, managedFields: [{ manager: 'm' }] }))
  store.set(thing('a', '8', { labels: { app: 'y' } }))
  assert.deepEqual(store.get('ns/a'), thing('a', '9', { labels: { app: 'x' } }))
  assert.equal(store.indexed('app', 'x').length, 1)
  store.set(thing('a', '10', { labels: { app: 'y' } }))
  assert.deepEqual([store.indexed('app', 'x').length, store.indexed('app', 'y').length], [0, 1])
  store.remove(thing('a', '9'))
  assert.equal(store.size, 1, 'a deletion older than what is held is that of a predecessor')
  store.replace([thing('b', '12')])
  assert.deepEqual(
    store.list().map(({ metadata }) => metadata.name),
    ['b'],
  )
  assert.deepEqual(
    changes.map(({ kind, key }) => `${kind} ${key}`),
    ['Set ns/a', 'Set ns/a', 'Removed ns/a', 'Set ns/b'],
  )
  assert.equal(failures.length, 4)
})

test('a reflector lists in pages, follows the watch, and lists anew after 410', async () => {
  const asked: string[] = []
  let lists = 0
  const streams: WatchEvent[][] = [
    [
      { type: 'ADDED', object: thing('c', '4') },
      { type: 'BOOKMARK', object: { metadata: { resourceVersion: '5' } } },
    ],
    [{ type: 'ERROR', object: { code: 410, reason: 'Expired', message: 'too old' } }],
    [{ type: 'DELETED', object: thing('c', '9') }],
  ]
  const transport: Transport = {
    async request({ query }) {
      const at = query?.['continue']
      asked.push(`list ${String(at ?? 'start')} of ${String(query?.['limit'])}`)
      if (at === undefined) {
        lists++
        return { items: [thing('a', '1')], metadata: { resourceVersion: lists === 1 ? '3' : '8', continue: 'page2' } }
      }
      const items = lists === 1 ? [thing('b', '2')] : [thing('c', '4')]
      return { items, metadata: { resourceVersion: lists === 1 ? '3' : '8' } }
    },
    async *watch(_path, query, signal) {
      asked.push(`watch ${String(query['resourceVersion'])} bookmarks ${String(query['allowWatchBookmarks'])}`)
      yield* streams.shift() ?? []
      if (streams.length === 0)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    },
    close: async () => {},
  }
  const store = createStore<KubernetesObject>()
  const stop = new AbortController()
  const reflector = createReflector({ transport, clock: systemClock, type }, store)
  assert.equal(reflector.synced, false)
  const run = reflector.run(stop.signal)
  await reflector.whenSynced
  await eventually(() =>
    assert.deepEqual(
      store.list().map(({ metadata }) => metadata.name),
      ['a'],
    ),
  )
  stop.abort()
  await run
  assert.deepEqual(asked, [
    'list start of 200',
    'list page2 of 200',
    'watch 3 bookmarks true',
    'watch 5 bookmarks true',
    'list start of 200',
    'list page2 of 200',
    'watch 8 bookmarks true',
  ])
})
