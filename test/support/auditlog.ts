/** The audit log of an API server: the requests that it has finished. */
import { open } from 'node:fs/promises'

/** One finished request. */
export interface AuditedRequest {
  readonly user: string
  readonly userAgent: string
  /** As RBAC has it: get, list, watch, create, update, patch, delete, deletecollection. */
  readonly verb: string
  readonly uri: string
  readonly resource: string
  readonly subresource: string
  readonly namespace: string
  readonly name: string
  readonly code: number
}

interface AuditEvent {
  requestReceivedTimestamp: string
  user: { username: string }
  userAgent?: string
  verb: string
  requestURI: string
  objectRef?: { resource?: string; subresource?: string; namespace?: string; name?: string }
  responseStatus?: { code?: number }
}

/** A place in the log: what stands behind it, and was received from that time on. */
export interface AuditMark {
  readonly bytes: number
  readonly timeMs: number
}

export const logBegin: AuditMark = { bytes: 0, timeMs: 0 }

/** The present end. A request that is under way is logged behind it, with the time at which it came. */
export const markEnd = async (path: string): Promise<AuditMark> => {
  const file = await open(path)
  try {
    return { bytes: (await file.stat()).size, timeMs: Date.now() }
  } finally {
    await file.close()
  }
}

export const auditedSince = async (path: string, { bytes, timeMs }: AuditMark): Promise<AuditedRequest[]> =>
  // The first line may have begun before the mark, and the last one may still be on its way into the file.
  (await textFrom(path, Math.max(0, bytes - 1)))
    .split('\n')
    .slice(bytes === 0 ? 0 : 1, -1)
    .map((line) => JSON.parse(line) as AuditEvent)
    .filter(({ requestReceivedTimestamp }) => Date.parse(requestReceivedTimestamp) >= timeMs)
    .map(({ user, userAgent = '', verb, requestURI, objectRef = {}, responseStatus = {} }) => ({
      user: user.username,
      userAgent,
      verb,
      uri: requestURI,
      resource: objectRef.resource ?? '',
      subresource: objectRef.subresource ?? '',
      namespace: objectRef.namespace ?? '',
      name: objectRef.name ?? '',
      code: responseStatus.code ?? 0,
    }))

const textFrom = async (path: string, start: number): Promise<string> => {
  const file = await open(path)
  try {
    const length = Math.max(0, (await file.stat()).size - start)
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(length), position: start })
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}
