/**
 * One file of the folder of references. The resource decides the path below the folder, and its author may not be the person who runs it.
 * The file's content is sent to a server of the resource's choice. So the file must lie inside the folder, symbolic links resolved. The
 * kubelet's own links (`..data`) stay inside; a person's link to a file elsewhere is refused.
 */
import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath, stat } from 'node:fs/promises'
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
    const isInside = (path: string) => path.startsWith(root.endsWith(sep) ? root : root + sep)
    return isInside(file) ? await readRegular(file, isInside, folder) : outside(folder)
  } catch (cause) {
    return { kind: 'Failed', cause }
  }
}

const outside = (folder: string): FileReading => ({
  kind: 'Refused',
  why: `leads out of ${folder}: put the file itself there, not a link`,
})

/** Refuses a pipe, which could block forever, and a device, which may have no end. */
async function readRegular(file: string, isInside: (path: string) => boolean, folder: string): Promise<FileReading> {
  // Stops only a link in place of the file itself.
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    // A folder of the path may have become a link after the path was resolved.
    if (!isInside(await openedPath(handle, file))) return outside(folder)
    const found = await handle.stat()
    if (!found.isFile()) return { kind: 'Refused', why: 'is no regular file' }
    if (found.size > mostBytes) return { kind: 'Refused', why: `has ${found.size} bytes; a value has ${mostBytes} at most` }
    return { kind: 'Read', text: await handle.readFile('utf8') }
  } finally {
    await handle.close()
  }
}

/** The path of the opened file. Linux knows it. Elsewhere the path is resolved again, and must lead to the same file. */
async function openedPath(handle: FileHandle, file: string): Promise<string> {
  if (process.platform === 'linux') return await readlink(`/proc/self/fd/${handle.fd}`)
  const [path, opened] = await Promise.all([realpath(file), handle.stat()])
  const found = await stat(path)
  return found.dev === opened.dev && found.ino === opened.ino ? path : ''
}
