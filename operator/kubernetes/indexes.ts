/** Objects of one kind by the values of named indexes, for example Pods by their pipeline. */
import { type KubernetesObject, keyOf } from './objects.ts'

interface Indexes<T> {
  /** Objects under a value, in the order in which they came. */
  get(index: string, value: string): readonly T[]
  /** The object of a key changed; undefined: there is none, before or after. */
  update(key: string, before: T | undefined, after: T | undefined): void
}

/** Name → value under which an object is found; undefined: not in that index. */
export type Indexers<T> = Readonly<Record<string, (object: T) => string | undefined>>

export function createIndexes<T extends KubernetesObject>(valuesOf: Indexers<T>): Indexes<T> {
  const indexers = Object.entries(valuesOf)
  const indexes = new Map(indexers.map(([name]) => [name, new Map<string, readonly T[]>()]))
  return {
    get: (index, value) => indexes.get(index)?.get(value) ?? [],
    update(key, before, after) {
      for (const [name, termOf] of indexers) {
        const index = indexes.get(name)
        const old = before === undefined ? undefined : termOf(before)
        const now = after === undefined ? undefined : termOf(after)
        if (old !== undefined && old !== now) fill(index, old, without(index?.get(old), key))
        if (now !== undefined && after !== undefined) fill(index, now, replaced(index?.get(now), key, after))
      }
    },
  }
}

const without = <T extends KubernetesObject>(bucket: readonly T[] = [], key: string) =>
  bucket.filter((object) => keyOf(object) !== key)

/** In its place, so that an order once seen stays. */
function replaced<T extends KubernetesObject>(bucket: readonly T[] = [], key: string, object: T): readonly T[] {
  const at = bucket.findIndex((held) => keyOf(held) === key)
  return at === -1 ? [...bucket, object] : bucket.with(at, object)
}

/** Mostly one object each: a list of one object takes a third of the memory of a map of one. */
function fill<T>(index: Map<string, readonly T[]> | undefined, value: string, bucket: readonly T[]): void {
  if (bucket.length === 0) index?.delete(value)
  else index?.set(value, bucket)
}
