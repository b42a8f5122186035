/** The evaluator of @hyperjump/json-schema with our one keyword, whose value is the check itself. */
import type { Keyword, ValidationContext } from '@hyperjump/json-schema/experimental'
import type { JsonNode } from '@hyperjump/json-schema/instance/experimental'
import { type Hyperjump, type HyperjumpInstance, loadHyperjump } from './library.ts'
import type { Violation } from './verdict.ts'

export const standardKeyword = (keyword: string) => `https://json-schema.org/keyword/${keyword}`
export const checkKeyword = 'urn:streampipeline:keyword:check'

/** The context that the evaluator passes from a schema to its keywords and back. */
export interface Context extends ValidationContext {
  dynamicAnchors?: Readonly<Record<string, string>>
  violation?: Violation
}

export type Check = (value: unknown, instance: JsonNode, context: Context) => boolean

interface Engine {
  readonly engine: Hyperjump
  readonly instance: HyperjumpInstance
}

let prepared: Engine | undefined

/** The library keeps its keywords for the whole process, so ours is added once. */
export function engine(): Engine {
  if (prepared !== undefined) return prepared
  const loaded = loadHyperjump()
  const check: Keyword<Check, Context> = {
    id: checkKeyword,
    compile: async () => () => true,
    interpret: (test, node, context) => test(loaded.instance.value(node), node, context),
  }
  loaded.engine.addKeyword(check as unknown as Keyword<unknown>)
  prepared = loaded
  return loaded
}
