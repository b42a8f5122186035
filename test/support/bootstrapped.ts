/**
 * The files of control planes that have started once, with the project's CRD. A server that starts on a copy of them skips the making of
 * its certificate, its roles and the kind: half of the processor time of a start. `npm test` makes some once and names their folder in
 * STREAMPIPELINE_BOOTSTRAPPED. Copies of one are one cluster by their uid, and so is the server of that number that can be borrowed
 * (serverpool.ts). So the servers that a process has at one time are of different numbers.
 */
import { existsSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { projectRoot } from './root.ts'

export const projectCrd = join(projectRoot, 'crds', 'streampipelines.yaml')

export const bootstrappedVariable = 'STREAMPIPELINE_BOOTSTRAPPED'
const parts = ['tls', 'serviceaccounts.key'] as const
const inUse = new Set<number>()

/** Of the control plane of that number, from 0 on. */
export const numbered = (folder: string, number: number): string => join(folder, String(number))

/** False: this process has a server of that number. */
export const claimNumber = (number: number): boolean => {
  if (inUse.has(number)) return false
  inUse.add(number)
  return true
}

export const returnNumber = (number: number): void => void inUse.delete(number)

/** What to copy for a server with these manifests, until `returnNumber`; undefined: it starts from nothing. */
export const takeBootstrapped = (manifests: readonly string[] | undefined): { folder: string; number: number } | undefined => {
  const folder = process.env[bootstrappedVariable]
  if (folder === undefined || manifests?.length !== 1 || manifests[0] !== projectCrd) return undefined
  for (let number = 0; existsSync(numbered(folder, number)); number += 1)
    if (claimNumber(number)) return { folder: numbered(folder, number), number }
  return undefined
}

/** @param data the folder of etcd's data, which has another name at each try */
export const copyBootstrapped = async (source: string, folder: string, data: string): Promise<void> => {
  await mkdir(folder, { recursive: true })
  await Promise.all([
    ...parts.map((part) => cp(join(source, part), join(folder, part), { recursive: true })),
    cp(join(source, 'etcd'), data, { recursive: true }),
  ])
}

/** Keeps the files of a control plane, whose etcd is stopped, for the tests that this process starts. */
export const keepBootstrapped = async (folder: string, data: string, target: string): Promise<void> => {
  await mkdir(target, { recursive: true })
  await Promise.all([
    ...parts.map((part) => cp(join(folder, part), join(target, part), { recursive: true })),
    cp(data, join(target, 'etcd'), { recursive: true }),
  ])
}

/** From now on servers of this process, and of those that it starts, take copies from there. */
export const offerBootstrapped = (folder: string): void => {
  process.env[bootstrappedVariable] = folder
}
