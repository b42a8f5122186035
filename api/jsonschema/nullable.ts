/**
 * `nullable: true` of OpenAPI 3.0. `validate` refuses it, as JSON Schema knows no such keyword; releases before let null through
 * there, and what runs with it goes on so.
 */
export function nullableType(schema: Readonly<Record<string, unknown>>): unknown {
  const { type, nullable } = schema
  const types = [type].flat()
  return nullable === true && !types.includes('null') ? [...types, 'null'] : type
}
