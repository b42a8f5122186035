/** examples/producers/vectors.json: inputs, and what each producer makes of them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../../support/root.ts'

export interface Vectors {
  /** `values` of the fields of `payload.idempotencyKey`, or the key that the request brings (`own`). */
  readonly keys: readonly ({ readonly hash: string } & ({ readonly values: readonly string[] } | { readonly own: string }))[]
  readonly jobs: readonly { readonly stream: string; readonly group: string; readonly key: string; readonly id: string }[]
  /** The fields of each payload, in the order of its members. */
  readonly entries: readonly { readonly payload: object; readonly fields: readonly (readonly [string, string])[] }[]
  /** `payload` is base64, and so are the parts of the entry in it. */
  readonly deadLetters: readonly { readonly payload: string; readonly entry: readonly string[] }[]
}

export const vectorsFile = join(projectRoot, 'examples', 'producers', 'vectors.json')

export const readVectors = (): Vectors => JSON.parse(readFileSync(vectorsFile, 'utf8')) as Vectors
