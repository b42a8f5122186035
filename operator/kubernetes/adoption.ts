/**
 * Decides who owns an object that bears a name we need. Another owner's object is never touched. An object that we made for an owner that
 * no longer exists is adopted. Such objects have three origins:
 *
 *   - a backup tool restored them without owner references;
 *   - a backup tool restored them with the uid of an owner that was itself restored under another uid;
 *   - `--cascade=orphan` left them behind.
 *
 * Our labels and the stamp of an apply (drift.ts) prove that we made an object. A reference that names our own owner under another uid
 * proves that this owner is gone: two objects of one name never exist at once.
 *
 * The garbage collector may be about to delete an object whose owner's uid is gone. The first writer wins: both writers name the version
 * that they judged.
 *
 * A tool that restores an object owns its fields. Our field manager takes them over; otherwise a field that we drop would stay.
 */
import { appliedAnnotation } from './drift.ts'
import { controllerOf, type KubernetesObject, type ManagedFieldsEntry, type OwnerReference } from './objects.ts'

export type Belonging =
  | { readonly kind: 'Ours' }
  /** Made by us; the owner is gone, or its reference was removed. */
  | { readonly kind: 'Orphaned' }
  /** Made by us, and being deleted. */
  | { readonly kind: 'Leaving' }
  | { readonly kind: 'Strange'; readonly owner: string }

/** Labels of our objects: the pipeline, and the program that made them. */
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

/** An earlier object of the owner's name and kind. */
function isNamesake({ apiVersion, kind, name }: OwnerReference, owner: OwnerReference): boolean {
  const groupOf = (version: string) => version.slice(0, version.indexOf('/'))
  return kind === owner.kind && name === owner.name && groupOf(apiVersion) === groupOf(owner.apiVersion)
}

function strangerOf(live: KubernetesObject, owner: OwnerReference): string {
  const controller = controllerOf(live)
  if (controller === undefined) return 'an unknown owner (it names no controller)'
  if (isNamesake(controller, owner)) return `an earlier ${owner.kind} ${owner.name} that was deleted`
  return `${controller.kind} ${controller.name}`
}

/**
 * The merge patch that an orphaned object gets before the first apply, bound to the version that was judged. Undefined: the apply needs
 * no such patch.
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

/** Undefined if `manager` has applied before: it owns its fields already. */
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
