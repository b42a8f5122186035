/** A finding about a schema, and its consequence. */

/** Steps from the schema's root: `['properties', 'amount', 'type']`. */
export type SchemaPath = readonly (string | number)[]

/**
 * - Unusable: no validator can judge by the schema. `validate` refuses it, and nothing runs with it.
 * - Refused: `validate` refuses it. Earlier releases accepted it, so a running resource keeps running.
 * - Remark: valid, but its author probably meant another schema.
 */
type Weight = 'Unusable' | 'Refused' | 'Remark'

export interface Finding {
  readonly path: SchemaPath
  readonly weight: Weight
  readonly message: string
}

const plainStep = /^[A-Za-z_$][\w$-]*$/

/** The path as the API server spells it. A name that is no plain word is quoted in brackets. */
export function spellPath(root: string, path: SchemaPath): string {
  return path.reduce<string>((spelled, step) => {
    if (typeof step === 'number') return `${spelled}[${step}]`
    return plainStep.test(step) ? `${spelled}.${step}` : `${spelled}[${JSON.stringify(clip(step, 100))}]`
  }, root)
}

/** Names come from outside and go into logs. */
export function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
