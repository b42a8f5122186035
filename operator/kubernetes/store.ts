/**
 * The cache of one kind of object: the reflector's last state of the server, by key and by index. Handlers get each change with the
 * object before it. A handler that throws is reported and never stops the flow. An event older than the held object (a duplicate after a
 * reconnect) is dropped.
 *
 * A list replaces newer versions, too. An etcd restored from a backup goes back in time. A cache that kept the newer version would
 * hold an object that no longer exists. A list older than one of our own writes sets that object back for a moment; the watch after
 * the list restores it.
 */
import { createIndexes, type Indexers } from './indexes.ts'
import { compareVersions, type KubernetesObject, keyOf, splitKey, withoutManagedFields } from './objects.ts'

export type StoreChange<T> =
  | { readonly kind: 'Set'; readonly key: string; readonly object: T; readonly before: T | undefined; readonly resync: boolean }
  | { readonly kind: 'Removed'; readonly key: string; readonly before: T }

type StoreHandler<T> = (change: StoreChange<T>) => void

export interface Store<T extends KubernetesObject> {
  get(key: string): T | undefined
  list(): readonly T[]
  /** Objects whose index value is `value`. */
  indexed(index: string, value: string): readonly T[]
  readonly size: number
}

export interface MutableStore<T extends KubernetesObject> extends Store<T> {
  set(object: T): void
  remove(object: T): void
  /** Its version does not matter: it is known to be gone. */
  discard(key: string): void
  /** Takes a list, of one namespace or of all, as the whole truth. An object that is not in it is gone; an older version in it holds. */
  replace(objects: readonly T[], namespace?: string): void
  /** Of this object only the `trimmedForm` is wanted from now on, until it is gone. */
  trim(key: string): void
}

interface StoreOptions<T> {
  readonly indexes?: Indexers<T>
  /** The part that is kept of a trimmed object. Default: all of it. */
  readonly trimmedForm?: (object: T) => T
  readonly handlers?: readonly StoreHandler<T>[]
  readonly onHandlerFailure?: (thrown: unknown) => void
}

const mostDeletions = 500

export function createStore<T extends KubernetesObject>(options: StoreOptions<T> = {}): MutableStore<T> {
  const objects = new Map<string, T>()
  const trimmed = new Set<string>()
  const { trimmedForm = (object: T) => object } = options
  /** The last ones heard of, so that an event which comes after its successor does not bring an object back. */
  const deletions = new Map<string, KubernetesObject>()
  const indexes = createIndexes<T>(options.indexes ?? {})

  function notify(change: StoreChange<T>): void {
    for (const handler of options.handlers ?? []) {
      try {
        handler(change)
      } catch (thrown) {
        options.onHandlerFailure?.(thrown)
      }
    }
  }

  function put(raw: T, resync: boolean): void {
    const key = keyOf(raw)
    const before = objects.get(key)
    if (resync) {
      // The trimmed form was taken from the state before the restore.
      if (before !== undefined && isOlder(raw, before)) trimmed.delete(key)
    } else if (before !== undefined && (isOlder(raw, before) || isSame(raw, before))) return
    const deletion = deletions.get(key)
    if (before === undefined && deletion !== undefined && isOlder(raw, deletion)) return
    const object = trimmed.has(key) ? trimmedForm(withoutManagedFields(raw)) : withoutManagedFields(raw)
    objects.set(key, object)
    indexes.update(key, before, object)
    notify({
      kind: 'Set',
      key,
      object,
      before,
      resync: resync && before?.metadata.resourceVersion === object.metadata.resourceVersion,
    })
  }

  function remember(key: string, deletion: KubernetesObject): void {
    deletions.delete(key)
    deletions.set(key, deletion)
    const [oldest] = deletions.keys()
    if (deletions.size > mostDeletions && oldest !== undefined) deletions.delete(oldest)
  }

  function drop(key: string): void {
    const before = objects.get(key)
    if (before === undefined) return
    objects.delete(key)
    trimmed.delete(key)
    indexes.update(key, before, undefined)
    notify({ kind: 'Removed', key, before })
  }

  return {
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    indexed: indexes.get,
    get size() {
      return objects.size
    },
    set: (object) => put(object, false),
    remove(object) {
      const { resourceVersion } = object.metadata
      if (resourceVersion !== undefined) remember(keyOf(object), { metadata: { resourceVersion } })
      const held = objects.get(keyOf(object))
      if (held !== undefined && !isOlder(object, held)) drop(keyOf(object))
    },
    discard: drop,
    replace(listed, namespace) {
      const keys = new Set(listed.map(keyOf))
      const isWithin = (key: string) => namespace === undefined || splitKey(key).namespace === namespace
      for (const key of [...objects.keys()]) if (!keys.has(key) && isWithin(key)) drop(key)
      // The watch after the list delivers only later events.
      for (const key of [...deletions.keys()]) if (isWithin(key)) deletions.delete(key)
      for (const object of listed) put(object, true)
    },
    trim(key) {
      const object = objects.get(key)
      if (object === undefined || trimmed.has(key)) return
      trimmed.add(key)
      const kept = trimmedForm(object)
      objects.set(key, kept)
      indexes.update(key, object, kept)
    },
  }
}

/** The echo of a write that was put here at once. */
function isSame(object: KubernetesObject, held: KubernetesObject): boolean {
  const { resourceVersion, uid } = object.metadata
  return resourceVersion !== undefined && resourceVersion === held.metadata.resourceVersion && uid === held.metadata.uid
}

function isOlder(object: KubernetesObject, held: KubernetesObject): boolean {
  const [mine, theirs] = [object.metadata.resourceVersion, held.metadata.resourceVersion]
  return mine !== undefined && theirs !== undefined && compareVersions(mine, theirs) < 0
}
