/** Reads a kind from the API server as a whole. */
import { type KubernetesObject, type ResourceType, resourcePath, withoutManagedFields } from './objects.ts'
import type { Query, Transport } from './transport.ts'

/** The objects that a reflector follows. */
export interface Selection {
  readonly type: ResourceType
  /** Undefined: all namespaces. */
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

interface Page {
  readonly items?: readonly KubernetesObject[]
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string }
}

interface Listed<T> {
  readonly objects: readonly T[]
  readonly resourceVersion: string
}

/** Less than the customary 500: all kinds are listed at once, and the memory of a page stays with the process. */
const pageSize = 200

export const selectorsOf = ({ labelSelector, fieldSelector }: Selection): Query => ({ labelSelector, fieldSelector })

/** The items of a list carry no apiVersion and kind; events do. */
export function typed<T extends KubernetesObject>(object: KubernetesObject, { apiVersion, kind }: ResourceType): T {
  return { ...object, apiVersion, kind } as unknown as T
}

export async function listAll<T extends KubernetesObject>(
  transport: Transport,
  selection: Selection,
  signal: AbortSignal,
): Promise<Listed<T>> {
  const path = resourcePath(selection.type, selection.namespace)
  const objects: T[] = []
  let next: string | undefined
  let resourceVersion = ''
  do {
    const query = { ...selectorsOf(selection), limit: pageSize, continue: next }
    const page = (await transport.request({ method: 'GET', path, query, signal })) as Page
    for (const item of page.items ?? []) objects.push(withoutManagedFields(typed<T>(item, selection.type)))
    resourceVersion = page.metadata?.resourceVersion ?? resourceVersion
    next = page.metadata?.continue
  } while (next !== undefined && next !== '')
  return { objects, resourceVersion }
}

/** The version of the server now; empty: it gave none. */
export async function versionNow(transport: Transport, selection: Selection, signal: AbortSignal): Promise<string> {
  const path = resourcePath(selection.type, selection.namespace)
  const query = { ...selectorsOf(selection), limit: 1 }
  const page = (await transport.request({ method: 'GET', path, query, signal })) as Page
  return page.metadata?.resourceVersion ?? ''
}
