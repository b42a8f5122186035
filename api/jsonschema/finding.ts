/** What is to be said about a schema, and what follows from it. */

/** Steps from the schema's root: `['properties', 'amount', 'type']`. */
export type SchemaPath = readonly (string | number)[]

/**
 * - Fault: no validator can judge by the schema. `validate` refuses it, and nothing runs with it.
 * - Refusal: `validate` refuses it; releases before took it, so what runs with it goes on.
 * - Remark: valid, but probably not what its author meant.
 */
type Weight = 'Fault' | 'Refusal' | 'Remark'

export interface Finding {
  readonly path: SchemaPath
  readonly weight: Weight
  readonly message: string
}

const plainStep = /^[A-Za-z_$][\w$-]*$/

/** As the API server spells paths; a name that is no plain word stands quoted in brackets. */
export function spellPath(root: string, path: SchemaPath): string {
  return path.reduce<string>((spelled, step) => {
    if (typeof step === 'number') return `${spelled}[${step}]`
    return plainStep.test(step) ? `${spelled}.${step}` : `${spelled}[${JSON.stringify(clip(step, 100))}]`
  }, root)
}

/** Names come from anybody, and go into logs. */
export function clip(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}
