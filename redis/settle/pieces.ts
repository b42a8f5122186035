/**
 * A batch in pieces, one script each: other clients of Redis get their turn between them. Their size is fixed. Round trips cannot
 * tell how long Redis was held: sized by them, pieces shrank to a few entries on a distant or busy server, and the fixed cost of
 * each made it busier still.
 */

/** Most entries of one script: one to two milliseconds of Redis' time. */
const pieceSize = 36

/** Pieces of even size, so that the last is no straggler; one at least. */
export function piecesOf<T>(batch: readonly T[]): readonly (readonly T[])[] {
  const count = Math.max(1, Math.ceil(batch.length / pieceSize))
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

/** What the groups' members gave, in the order of the batch. @param results per group, one for each member */
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
