/**
 * One file of the folder of references. The resource decides the path below the folder, and its author may not be the person who runs it.
 * The file's content is sent to a server of the resource's choice. So the file must lie inside the folder, symbolic links resolved. The
 * kubelet's own links (`..data`) stay inside; a person's link to a file elsewhere is refused.
 */
import { constants } from 'node:fs'
import { open, realpath } from 'node:fs/promises'
import { join, sep } from 'node:path'

/** Kubernetes keeps no larger Secret or ConfigMap. */
const mostBytes = 2 ** 20

type FileReading =
  | { readonly kind: 'Read'; readonly text: string }
  /** `why` completes "the file …". */
  | { readonly kind: 'Refused'; readonly why: string }
  | { readonly kind: 'Failed'; readonly cause: unknown }

export async function readInside(folder: string, ...path: readonly string[]): Promise<FileReading> {
  try {
    const [root, file] = await Promise.all([realpath(folder), realpath(join(folder, ...path))])
    if (!file.startsWith(root.endsWith(sep) ? root : root + sep)) {
      return { kind: 'Refused', why: `leads out of ${folder}: put the file itself there, not a link` }
    }
    return await readRegular(file)
  } catch (cause) {
    return { kind: 'Failed', cause }
  }
}

/** Refuses a pipe, which could block forever, and a device, which may have no end. */
async function readRegular(file: string): Promise<FileReading> {
  // The path is resolved; a link that replaces it meanwhile is not followed.
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const found = await handle.stat()
    if (!found.isFile()) return { kind: 'Refused', why: 'is no regular file' }
    if (found.size > mostBytes) return { kind: 'Refused', why: `has ${found.size} bytes; a value has ${mostBytes} at most` }
    return { kind: 'Read', text: await handle.readFile('utf8') }
  } finally {
    await handle.close()
  }
}
