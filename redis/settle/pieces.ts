/**
 * A batch in pieces, one script each: other clients of Redis get their turn between them. Their size is fixed. Round trips cannot
 * show how long Redis was held. Sized by them, pieces shrank to a few entries on a distant or busy server, and the fixed cost of
 * each made it busier still.
 */
import type { AddWay } from '../bullmq/specialisedadd.ts'

/** Most entries of one script: about a millisecond of Redis' time, which is twice as much where the machine is busy. */
const pieceSizes: Readonly<Record<AddWay, number>> = { Specialised: 50, BullMQ: 36 }

/** Pieces of even size, so that the last is no straggler; one at least. */
export function piecesOf<T>(batch: readonly T[], way: AddWay): readonly (readonly T[])[] {
  const count = Math.max(1, Math.ceil(batch.length / pieceSizes[way]))
  const size = Math.ceil(batch.length / count)
  return Array.from({ length: count }, (_, index) => batch.slice(index * size, (index + 1) * size))
}

/** Members of a batch that one script adds, and their places in the batch. */
interface Group<T, Kind> {
  readonly kind: Kind
  readonly members: readonly T[]
  readonly places: readonly number[]
}

/** A batch by the script that adds each member, in order of their first members. Nearly always there is one group: the batch. */
export function groupsOf<T, Kind>(batch: readonly T[], kindOf: (member: T) => Kind): readonly Group<T, Kind>[] {
  const [first] = batch
  const kind = first && kindOf(first)
  // No list of places, nor a copy of the batch, for the usual case.
  if (kind !== undefined && batch.every((member) => kindOf(member) === kind)) return [{ kind, members: batch, places: [] }]
  const groups = new Map<Kind, { readonly members: T[]; readonly places: number[] }>()
  for (const [place, member] of batch.entries()) {
    const kind = kindOf(member)
    const group = groups.get(kind) ?? { members: [], places: [] }
    groups.set(kind, group)
    group.members.push(member)
    group.places.push(place)
  }
  return [...groups].map(([kind, group]) => ({ kind, ...group }))
}

/** The results of the groups' members, in the order of the batch. @param results per group, one for each member */
export function inPlaces<Result>(
  groups: readonly Group<unknown, unknown>[],
  results: readonly (readonly Result[])[],
): readonly Result[] {
  const [only] = results
  if (groups.length <= 1) return only ?? []
  const ordered: Result[] = []
  for (const [index, { places }] of groups.entries()) {
    for (const [at, result] of (results[index] ?? []).entries()) ordered[places[at] ?? 0] = result
  }
  return ordered
}
