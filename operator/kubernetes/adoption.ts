/**
 * Whose an object is that bears a name we need. A stranger's is never touched. One that we made for an owner that lives no more
 * is adopted: a backup tool restores objects without their owner references, or with references to the uid of an owner that was
 * itself restored under another one, and `--cascade=orphan` leaves them behind. That we made it is told by our labels and by the
 * stamp of an apply (drift.ts); that its owner is gone by the owner's own name, which is ours: two of one name never live at once.
 *
 * The garbage collector may be about to take an object whose owner's uid is gone. Whoever comes first wins: it deletes with the
 * version it has judged, and so does the adoption write.
 *
 * A tool that restores an object owns its fields. They are handed over to our field manager, or what we no longer want would stay.
 */
import { appliedAnnotation } from './drift.ts'
import { controllerOf, type KubernetesObject, type ManagedFieldsEntry, type OwnerReference } from './objects.ts'

export type Belonging =
  | { readonly kind: 'Ours' }
  /** Made by us; its owner is gone, or was taken off it. */
  | { readonly kind: 'Orphaned' }
  /** Made by us, and on its way out. */
  | { readonly kind: 'Leaving' }
  | { readonly kind: 'Strange'; readonly owner: string }

/** Labels by which our objects are known: whose they are, and who made them. */
const marks = ['streampipeline.dev/name', 'app.kubernetes.io/managed-by']

export function belongingOf(live: KubernetesObject, desired: KubernetesObject, owner: OwnerReference): Belonging {
  if (isOwnedBy(live, owner)) return { kind: 'Ours' }
  const isAbandoned = (live.metadata.ownerReferences ?? []).every((reference) => isNamesake(reference, owner))
  if (!isAbandoned || !isMadeByUs(live, desired)) return { kind: 'Strange', owner: strangerOf(live, owner) }
  return { kind: live.metadata.deletionTimestamp === undefined ? 'Orphaned' : 'Leaving' }
}

export function isOwnedBy(object: KubernetesObject, owner: OwnerReference): boolean {
  return object.metadata.ownerReferences?.some(({ uid }) => uid === owner.uid) === true
}

function isMadeByUs({ metadata }: KubernetesObject, desired: KubernetesObject): boolean {
  const isMarked = marks.every((mark) => {
    const wanted = desired.metadata.labels?.[mark]
    return wanted !== undefined && metadata.labels?.[mark] === wanted
  })
  return isMarked && metadata.annotations?.[appliedAnnotation] !== undefined
}

/** Of the same name and kind, and not it: an earlier one. */
function isNamesake({ apiVersion, kind, name }: OwnerReference, owner: OwnerReference): boolean {
  const groupOf = (version: string) => version.slice(0, version.indexOf('/'))
  return kind === owner.kind && name === owner.name && groupOf(apiVersion) === groupOf(owner.apiVersion)
}

function strangerOf(live: KubernetesObject, owner: OwnerReference): string {
  const controller = controllerOf(live)
  if (controller === undefined) return 'somebody else (no controller is named in it)'
  if (isNamesake(controller, owner)) return `an earlier ${owner.kind} ${owner.name} that was deleted`
  return `${controller.kind} ${controller.name}`
}

/**
 * What is written to an orphaned object before the first apply, bound to the version that was judged; undefined: nothing is in the
 * way of the apply. As a merge patch.
 */
export function adoptionOf(live: KubernetesObject, owner: OwnerReference, manager: string): object | undefined {
  const { uid, resourceVersion, ownerReferences = [], managedFields = [] } = live.metadata
  const fields = handedOver(managedFields, manager)
  if (ownerReferences.length === 0 && fields === undefined) return undefined
  return {
    metadata: {
      uid,
      resourceVersion,
      // The API server allows one controller.
      ownerReferences: [owner],
      ...(fields === undefined ? {} : { managedFields: fields }),
    },
  }
}

/** Undefined where `manager` has applied before, and so owns what is its own. */
function handedOver(entries: readonly ManagedFieldsEntry[], manager: string): readonly ManagedFieldsEntry[] | undefined {
  const isApplied = (entry: ManagedFieldsEntry) => entry.manager === manager && entry.operation === 'Apply'
  if (entries.some(isApplied)) return undefined
  const isRestorers = (entry: ManagedFieldsEntry) => entry.operation === 'Update' && (entry.subresource ?? '') === ''
  const taken = entries.filter(isRestorers)
  const [first] = taken
  if (first === undefined) return undefined
  const rest = entries.filter((entry) => !isRestorers(entry))
  const kept = taken.map((entry) => ({ ...entry, fieldsV1: only(entry, isMetadata) })).filter(hasFields)
  const fieldsV1 = taken.map((entry) => only(entry, (name) => !isMetadata(name))).reduce(united, {})
  return [...rest, ...kept, { ...first, manager, operation: 'Apply', fieldsV1 }]
}

type Fields = Readonly<Record<string, unknown>>

const isMetadata = (name: string) => name === 'f:metadata'
const hasFields = ({ fieldsV1 }: ManagedFieldsEntry) => Object.keys(fieldsV1 ?? {}).length > 0

function only({ fieldsV1 = {} }: ManagedFieldsEntry, which: (name: string) => boolean): Fields {
  return Object.fromEntries(Object.entries(fieldsV1).filter(([name]) => which(name)))
}

function united(one: Fields, other: Fields): Fields {
  const added = Object.entries(other).map(([name, inner]) => {
    const before = one[name]
    return [name, before === undefined ? inner : united(before as Fields, inner as Fields)] as const
  })
  return { ...one, ...Object.fromEntries(added) }
}
